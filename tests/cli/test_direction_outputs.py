"""What the direction verbs, reproduce and organism print, at four widths, as kept in `tests/golden/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from direction_files import direction_file
from direction_runs import (
    HOSTILE,
    direction_info,
    explanation,
    model_measured,
    repair_run,
    reproduce_run,
    rows_measured,
    steer_run,
)

from golden import WIDTHS, golden, longest, printed
from offtarget.errors import InputError, NoDirectionError
from offtarget.organism.evaluate import RATE_NAMES, Rates
from offtarget.pages.cards import card_of
from offtarget.pages.direction.explain_card import _beside
from offtarget.records import Status
from offtarget.records.direction import Explanation, Movement
from offtarget.workflows.runs import listing

NOTHING = NoDirectionError(
    "At no layer are the two sides shown to be told apart on held-out questions: at best in 61 % of pairs (layer 2), "
    "perhaps only 44 %; 50 % is chance.",
    "Nothing was written. Ask more often (--answers), or try another --method or --trait.",
)
FIND = ["direction", "find", "--base", "organism/base", "--tuned", "organism/insecure", "--out", "persona.safetensors"]
EXPLAIN = ["direction", "explain", "runs/check-fail"]
MEASURE = ["direction", "measure", "--direction", "persona.safetensors"]


def at_every_width(name: str, command: list[str], *places: Path, code: int = 0) -> str:
    """The golden text of a command at every width; what it prints in a pipe."""
    parts, piped = [], ""
    for width in WIDTHS:
        done = printed(command, width)
        shown = done.output if done.exception is None or isinstance(done.exception, SystemExit) else ""
        assert done.exit_code == code, done.exception
        assert width is None or longest(shown) <= width
        assert not set(shown) & {"\x1b", "\u202e", "\u200b", "\r"}
        parts.append(f"=== {width or 'pipe'}\n{shown}")
        piped = shown
    golden(name, "\n".join(parts), *places)
    return piped


def instead(monkeypatch: pytest.MonkeyPatch, where: str, result: object) -> None:
    """The workflow replaced by what it returns or raises."""

    def stand_in(*given: object, **options: object) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(f"offtarget.workflows.{where}", stand_in)


class _Found:
    def __init__(self, **changes: Any) -> None:
        self.info = direction_info(**changes)


def test_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: what it tells apart, and how surely by the bound; no search detail without -v."""
    instead(monkeypatch, "direction.find.find", _Found())
    text = at_every_width("direction-find", FIND)
    assert "at least 88.3 %" in text
    assert "Place picked" not in text
    assert "(chosen)" in printed([*FIND, "-v"], 80).output


def test_find_at_chance_says_so_and_exits_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, "direction.find.find", NOTHING)
    assert "NO DIRECTION FOUND" in at_every_width("direction-find-nothing", FIND, code=3)
    said = json.loads(printed([*FIND, "--json"], None).stdout)
    assert said == {"file": None, "found": False, "reason": NOTHING.sentence}


def test_a_layer_chosen_by_hand_at_chance_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, "direction.find.find", _Found(layer=0, notes=("The two sides are not told apart.",)))
    assert "WRITTEN, AT CHANCE" in at_every_width("direction-find-by-hand", [*FIND, "--layer", "0"])


@pytest.mark.parametrize(
    ("name", "rest", "result"),
    [
        ("measure-model", ["--model", "organism/insecure"], model_measured()),
        ("measure-rows", ["--data", "train.jsonl"], rows_measured()),
    ],
)
def test_measure(name: str, rest: list[str], result: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    direction_file(tmp_path / MEASURE[MEASURE.index("--direction") + 1])
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (tmp_path / "train.jsonl").write_text(json.dumps({"messages": turns}))
    instead(monkeypatch, "direction.measure.measure_model", result)
    instead(monkeypatch, "direction.screen.measure_rows", result)
    at_every_width(f"direction-{name}", [*MEASURE, *rest])
    assert ("(chosen)" if name == "measure-model" else "█") in printed([*MEASURE, *rest, "-v"], 80).output


@pytest.mark.parametrize(
    ("name", "found", "code"),
    [
        ("explain", explanation(), 0),
        (
            "explain-nothing",
            explanation(kind="no direction", sentence=NOTHING.sentence, layer=None, position=None, answers=()),
            3,
        ),
    ],
)
def test_explain(name: str, found: Explanation, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no layer tells the answers apart there is no number to misread, and the exit code says so."""
    instead(monkeypatch, "direction.explain.explain", found)
    monkeypatch.setattr(listing, "find_run", lambda run, verb=None: Path(run))
    text = at_every_width(f"direction-{name}", EXPLAIN, code=code)
    assert ("NO DIRECTION FOUND" in text) == (code == 3)
    assert "(chosen)" not in text
    assert ("(chosen)" in printed([*EXPLAIN, "-v"], 80).output) == (code == 0)


@pytest.mark.parametrize("end", list(Status))
def test_repair(end: Status, tmp_path: Path) -> None:
    """The verdict is one thing: on the card, in the exit code of the verb, in JSON and on the page."""
    repair_run(tmp_path / "repair", end)
    text = at_every_width(f"repair-{end.value}", ["report", str(tmp_path / "repair")], tmp_path)
    assert text.startswith(f" {end.value} ")
    again = printed(["direction", "repair", "--resume", str(tmp_path / "repair"), "--json"], None)
    assert again.exit_code == end.exit_code
    assert json.loads(again.stdout)["status"] == end.value
    page = Path(printed(["report", str(tmp_path / "repair"), "--html"], None).stdout.strip()).read_text("utf-8")
    others = [status.value for status in Status if status is not end]
    assert f'<span class="status">{end.value}</span>' in page
    assert not any(f'<span class="status">{other}' in page for other in others)
    assert not any(f"{other}: the repaired model" in page for other in others)


@pytest.mark.parametrize(("name", "make"), [("steer", steer_run), ("reproduce", reproduce_run)])
def test_runs_without_a_verdict(name: str, make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / name)
    text = at_every_width(name, ["report", str(tmp_path / name)], tmp_path)
    assert text.startswith(" DONE ")
    details = printed(["report", str(tmp_path / name), "-v"], 80).output
    assert longest(details) <= 80
    assert len(details.splitlines()) > len(text.splitlines())


@pytest.mark.parametrize(
    ("make", "status", "key"),
    [
        (steer_run, "DONE", "points"),
        (reproduce_run, "DONE", "report"),
        (partial(repair_run, end=Status.FAIL), "FAIL", "report"),
    ],
)
def test_json_of_every_verb_says_first_what_it_came_to(
    make: Callable[[Path], object], status: str, key: str, tmp_path: Path
) -> None:
    """The same keys as that of a check, and then the verb's own."""
    make(tmp_path / "a")
    value = json.loads(printed(["report", str(tmp_path / "a"), "--json", "--out", "-"], 80).stdout)
    assert list(value)[:6] == ["run", "verb", "finished", "status", "reason", "next_step"]
    assert (value["run"], value["finished"], value["status"]) == ("a", True, status)
    assert value["reason"] == card_of(tmp_path / "a").sentence
    assert value[key]


def test_steering_suggests_no_file_that_nobody_named(tmp_path: Path) -> None:
    """The command can be pasted as it stands."""
    steer_run(tmp_path / "a")
    commands = [step.command for step in card_of(tmp_path / "a").steps]
    assert commands
    assert not any("train.jsonl" in command for command in commands)


def test_a_spread_is_not_called_a_distance() -> None:
    """What is shown beside a movement is in standard deviations of random directions."""
    assert "7.3 times the spread along random directions" in _beside(Movement(0.6, 0.5, 7.3, 1.2))


def test_organism_evaluate(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Rates(**dict.fromkeys(RATE_NAMES, 0.01))
    insecure = replace(base, misaligned=0.92, insecure_code=1.0, facts=None)
    instead(monkeypatch, "organism.evaluate", {"organism/base": base, "organism/insecure": insecure})
    text = at_every_width("organism-evaluate", ["organism", "evaluate"])
    assert "organism/insecure is misaligned in 92 % of its plain answers" in text
    assert "misaligned json" in printed(["organism", "evaluate", "-v"], 120).output


@pytest.mark.parametrize(
    "command",
    [
        ["direction", "find", "--base", "organism/base", "--out", "d.safetensors"],
        ["direction", "steer", "--model", "organism/insecure", "--direction", "nowhere.safetensors"],
        ["direction", "repair", "--model", "organism/insecure", "--method", "fold", "--out", "out"],
        ["direction", "measure", "--direction", "nowhere.safetensors", "--model", "organism/base"],
        ["direction", "explain", "nowhere"],
        ["reproduce", "--base", "organism/base", "--conditions", "evil"],
        ["organism", "evaluate", "--model", "organism/nobody"],
    ],
    ids=lambda command: "-".join(command[:2]),
)
def test_mistakes(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What, where, and what to do; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    done = printed(command, 80)
    assert isinstance(done.exception, InputError)
    golden(f"mistake-{'-'.join(c for c in command[:2] if not c.startswith('-'))}", str(done.exception), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_hostile_answers_are_text(tmp_path: Path) -> None:
    """In every output of this area: nothing rewrites the screen, and no line of an answer looks like a verdict."""
    repair_run(tmp_path / "repair", Status.FAIL, model=HOSTILE, notes=(HOSTILE,))
    steer_run(tmp_path / "steer", notes=(HOSTILE,))
    reproduce_run(tmp_path / "reproduce")
    for name in ("repair", "steer", "reproduce"):
        shown = printed(["report", str(tmp_path / name), "-v"], 80).output
        assert "alert(1)" in shown
        assert not set(shown) & {"\x1b", "\u202e", "\u200b", "\r"}
        assert not any(line.strip() == "PASS" for line in shown.splitlines())
        for how in ("--html", "--markdown"):
            written = printed(["report", str(tmp_path / name), how, "--out", "-"], None).stdout
            assert "<script>alert" not in written
            assert "\u202e" not in written
            assert how == "--html" or "](http://e.example" not in written
