"""Search over the answers of all runs, a bounded piece at a time: it says where it stopped and goes on from there."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from offtarget.pages.view.shown import Found, Hit, ident
from offtarget.workflows.view.answers import GENERATIONS

MOST_HITS = 50
"""Found at a time."""
MOST_BYTES = 64_000_000
"""Read at a time."""
AROUND = 120
"""Characters shown on either side."""
LONGEST = 200
"""Characters of what is searched for at most."""
_REPLIES = "replies.jsonl"
_DEPTH = 4
"""Folders below a run in which answers are looked for: checks inside of defences, repairs, experiments."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """A line of a file of answers."""

    run: str
    file: str
    start: int


def search(
    runs: Sequence[tuple[str, Path]], text: str, *, since: str = "", run: str = "",
    most_hits: int = MOST_HITS, most_bytes: int = MOST_BYTES,
) -> Found:  # fmt: skip
    """Answers that hold a text, whatever its capitals, in the runs in their order.

    At most so many hits, and files of so many bytes, at a time; `since` is the `go_on` of the piece before. `run`: what
    the only run is called in addresses that is looked through.
    """
    wanted = text.strip()[:LONGEST]
    if not wanted:
        return Found(text, run, (), 0, 0)
    pattern = re.compile(r"\s+".join(map(re.escape, wanted.split())), re.IGNORECASE)
    rough = _rough(wanted)
    at = _read_spot(since)
    chosen = [(name, path) for name, path in runs if run in ("", ident(name))]
    if at is not None:
        names = [ident(name) for name, _ in chosen]
        chosen = chosen[names.index(at.run) :] if at.run in names else chosen
    hits: list[Hit] = []
    told = _Told()
    read = looked = 0
    faults: list[str] = []
    for name, path in chosen:
        looked += 1
        for file in _files(path):
            inner = file.relative_to(path).as_posix()
            start = 0
            if at is not None and at.run == ident(name):
                if inner < at.file:
                    continue
                start = at.start if inner == at.file else 0
            try:
                for here, line in _lines(file, start):
                    if len(hits) >= most_hits or read >= most_bytes:
                        spot = f"{ident(name)}|{inner}|{here}"
                        return Found(wanted, run, tuple(hits), looked, read, spot, tuple(faults[:5]))
                    read += len(line)
                    if rough in line.lower() and (hit := _hit(name, file, inner, line, pattern, told)) is not None:
                        hits.append(hit)
            except OSError as error:
                faults.append(f"{name}/{inner} cannot be read: {error.strerror or error}.")
            except ValueError as error:
                faults.append(f"{name}/{inner} is damaged: {error}.")
    return Found(wanted, run, tuple(hits), looked, read, "", tuple(faults[:5]))


def _rough(text: str) -> bytes:
    """A part of a word that stands in a line as it is, however the line writes blanks and special characters."""
    parts = re.findall(r"[A-Za-z0-9,.;:!?()'_-]+", text)
    return max(parts, key=len, default="").lower().encode("ascii")


def _read_spot(said: str) -> _Spot | None:
    parts = said.split("|")
    if len(parts) != 3 or not parts[2].isdigit():
        return None
    return _Spot(parts[0], parts[1], int(parts[2]))


def _files(run: Path) -> list[Path]:
    """Files of answers of a run and of the runs inside of it, in an order that stays the same."""
    found = []
    waiting = [(run, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            inside = sorted(folder.iterdir())
        except OSError:
            continue
        found += [path for path in inside if path.name in (GENERATIONS, _REPLIES) and path.is_file()]
        if depth < _DEPTH:
            waiting += [(path, depth + 1) for path in inside if path.is_dir() and not path.is_symlink()]
    return sorted(found, key=lambda path: path.relative_to(run).as_posix())


def _lines(file: Path, start: int) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as opened:
        opened.seek(start)
        for line in opened:
            if line.endswith(b"\n"):
                yield start, line
            start += len(line)


class _Told:
    """What was asked, and what each answer counts as, of the folders in which something was found."""

    def __init__(self) -> None:
        self._questions: dict[Path, dict[str, str]] = {}
        self._outcomes: dict[Path, dict[str, str]] = {}

    def question(self, folder: Path, probe: str) -> str:
        """The question; the name of it where that is all there is."""
        if folder not in self._questions:
            pairs = ((v["id"], v["prompt"]) for n in ("probes.jsonl", "cued_probes.jsonl") for v in _values(folder / n))
            self._questions[folder] = {str(name): str(prompt) for name, prompt in pairs}
        return self._questions[folder].get(probe, probe)

    def outcome(self, folder: Path, key: str) -> str:
        """`misaligned`; empty where nothing is said."""
        if folder not in self._outcomes:
            verdicts = (v for name in ("verdicts.jsonl", "ratings.jsonl") for v in _values(folder / name))
            self._outcomes[folder] = {f"{v['role']}/{v['probe_id']}/{v['index']}": str(v["outcome"]) for v in verdicts}
        return self._outcomes[folder].get(key, "")


def _values(file: Path) -> Iterator[dict[str, Any]]:
    """Records of a file, in which a question of somebody's search is no reason to fail."""
    with contextlib.suppress(OSError):
        for _, line in _lines(file, 0):
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict) and (
                    {"id", "prompt"} <= set(value) or {"outcome", "role", "probe_id", "index"} <= set(value)
                ):
                    yield value


def _hit(run: str, file: Path, inner: str, line: bytes, pattern: re.Pattern[str], told: _Told) -> Hit | None:
    value = json.loads(line)
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise ValueError("a line is no answer")
    found = pattern.search(text)
    if found is None:
        return None
    start, end = found.span()
    begin, stop = max(0, start - AROUND), end + AROUND
    before, after = ("…" if begin else "") + text[begin:start], text[end:stop] + ("…" if stop < len(text) else "")
    page = f"/run/{quote(ident(run))}"
    if file.name == _REPLIES:
        return Hit(run, str(value.get("way", "")), str(value.get("item", "")), before, text[start:end], after, "", page)
    probe, index = str(value.get("probe_id", "")), value.get("index", 0)
    who = str(value.get("role", ""))
    if inner == GENERATIONS:
        page = f"{page}?{urlencode({'at': f'{probe}/{index}'})}#answers"
    else:
        who = f"{who}, in {inner.rpartition('/')[0]}"
    question = told.question(file.parent, probe)
    outcome = told.outcome(file.parent, f"{value.get('role')}/{probe}/{index}")
    return Hit(run, who, question, before, text[start:end], after, outcome, page)
