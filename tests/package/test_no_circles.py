"""No module needs itself, not even by way of another: the code can be read from the top floor down."""

from __future__ import annotations

import graphlib

import grimp
import pytest


def test_no_module_imports_itself_through_others() -> None:
    """Imports inside functions and for types alone count too; a folder of workflows is one room."""
    graph = grimp.build_graph("offtarget", cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    rooms: dict[str, set[str]] = {}
    for module, others in imported.items():
        ours = rooms.setdefault(_room(module), set())
        ours |= {_room(other) for other in others} - {_room(module)}
    for name, needs in (("modules", imported), ("rooms", rooms)):
        try:
            tuple(graphlib.TopologicalSorter(needs).static_order())
        except graphlib.CycleError as error:
            pytest.fail(f"a circle of {name}: {' -> '.join(error.args[1])}")


def _room(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:3] if parts[1:2] == ["workflows"] else parts[:2])
