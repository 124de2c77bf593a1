"""Registers: nothing lost, nothing counted twice, whatever is torn or written at the same time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.register import STATE_ENV, Register, state_root


@dataclass(frozen=True)
class Entry:
    name: str
    number: int


def test_entries_come_back_in_order_and_see_what_was_there(tmp_path: Path) -> None:
    register = Register(tmp_path / "deep" / "register.jsonl", Entry)
    assert register.entries() == []
    for _ in range(3):
        register.add(lambda before: Entry("a", len(before) + 1))
    assert [entry.number for entry in register.entries()] == [1, 2, 3]


@pytest.mark.parametrize("torn", ['{"name": "b", "numb', '{"name": "b", "number": 2', "{"])
def test_a_line_torn_by_a_crash_is_passed_over_and_spoils_no_other(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "register.jsonl"
    register = Register(path, Entry)
    register.add(lambda _: Entry("a", 1))
    with path.open("a") as file:
        file.write(torn)
    assert [entry.number for entry in register.entries()] == [1]
    assert register.add(lambda before: Entry("c", len(before) + 1)).number == 2
    assert [entry.name for entry in register.entries()] == ["a", "c"]


@pytest.mark.parametrize("line", ['{"name": "a"}', '{"name": "a", "number": "two"}', "{}", '{"a" 1}', "[1}"])
def test_an_edited_register_says_where(tmp_path: Path, line: str) -> None:
    path = tmp_path / "register.jsonl"
    path.write_text('{"name": "a", "number": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=r"register\.jsonl, line 2: .*OFFTARGET_STATE"):
        Register(path, Entry).entries()


def test_a_place_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=STATE_ENV):
        Register(tmp_path / "file" / "register.jsonl", Entry).add(lambda _: Entry("a", 1))


def test_the_folder_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_ENV, str(tmp_path))
    assert state_root() == tmp_path
    monkeypatch.delenv(STATE_ENV)
    assert state_root().parts[-3:] == (".local", "state", "offtarget")


def test_processes_at_the_same_time_get_different_numbers(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom offtarget.register import Register\n"
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Entry:\n    name: str\n    number: int\n"
        "register = Register(Path(sys.argv[1]), Entry)\n"
        "for _ in range(20):\n    register.add(lambda before: Entry(sys.argv[2], len(before) + 1))\n"
    )
    path = tmp_path / "register.jsonl"
    started = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "abc"]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert [entry.number for entry in Register(path, Entry).entries()] == list(range(1, 61))
