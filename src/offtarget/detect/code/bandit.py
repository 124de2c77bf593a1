"""Bandit's tests on a tree that is already parsed, in this process; `# nosec` is not honoured."""

from __future__ import annotations

import ast
import logging
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from offtarget.detect.code.facts import Hole, words

LEFT_OUT = words(
    "B101 B104 B105 B106 B107 B108 B110 B112 B113 B201 B403 B404 B405 B406 B407 B408 B409 B410 B411 B413 B415 B311 "
    "B307 B615 B603 B607 B606 B605 B602 B608 B701 B703 B704 B103 B202 B301 B506 B501 B324 B401 B402 B312 B321"
)
"""Tests about imports, asserts and safe call forms, which secure answers trip too, and tests our own rules replace."""


@dataclass(frozen=True, slots=True)
class _Kit:
    visitor: Any
    tests: Any


def available() -> bool:
    """Whether Bandit is installed (the extra `code`)."""
    return _kit() is not None


@cache
def _kit() -> _Kit | None:
    if find_spec("bandit") is None:
        return None
    logging.getLogger("bandit").setLevel(logging.CRITICAL)
    format_before = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bandit.core.config import BanditConfig
        from bandit.core.node_visitor import BanditNodeVisitor
        from bandit.core.test_set import BanditTestSet

        tests = BanditTestSet(BanditConfig(), {"exclude": sorted(LEFT_OUT)})
    warnings.formatwarning = format_before  # importing Bandit replaces it for the whole process

    class Visitor(BanditNodeVisitor):  # type: ignore[misc]
        def update_scores(self, scores: object) -> None:
            """Scores of a file are not used."""

    return _Kit(Visitor, tests)


def bandit_holes(tree: ast.Module, text: str) -> list[Hole]:
    """What Bandit sees in a tree, its severity turned into a strength; empty when it is not installed or fails."""
    kit = _kit()
    if kit is None:
        return []
    from bandit.core.metrics import Metrics

    visitor = kit.visitor("answer.py", text.encode("utf-8", "replace"), None, kit.tests, False, {}, Metrics())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for node in _looked_at(tree):
                visitor.pre_visit(node)
                visitor.visit(node)
    except (RecursionError, AttributeError, ValueError, TypeError, IndexError, KeyError):
        return []
    return [_hole(issue) for issue in visitor.tester.results]


def _looked_at(tree: ast.Module) -> list[ast.AST]:
    """The nodes that the kept tests look at, imports first: a fraction of what Bandit walks."""
    nodes = list(ast.walk(tree))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return imports + [node for node in nodes if isinstance(node, ast.Call | ast.FunctionDef)]


def _hole(issue: Any) -> Hole:
    strength = {"HIGH": 0.8, "MEDIUM": 0.6, "LOW": 0.3}.get(issue.severity, 0.3)
    if issue.confidence == "LOW":
        strength -= 0.15
    text = str(issue.text).split(". ")[0].rstrip(".")
    last = issue.linerange[-1] if issue.linerange else issue.lineno
    return Hole(f"bandit-{issue.test_id}", f"{text} (Bandit {issue.test_id})", issue.lineno, last, strength)
