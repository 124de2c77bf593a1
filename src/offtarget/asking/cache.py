"""Answers of the base model, kept between runs: the next candidate of the same base needs none of them again."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from filelock import FileLock

from offtarget.asking.ask import Pair
from offtarget.asking.seeds import answer_seed
from offtarget.records import Finish, Generation, Probe, SamplingSettings
from offtarget.rundir import fingerprint, to_jsonable

CACHE_ENV = "OFFTARGET_CACHE"
"""Environment variable naming the cache folder; default `~/.cache/offtarget`."""


def cache_root() -> Path:
    """The folder that holds caches."""
    return Path(os.environ.get(CACHE_ENV) or Path.home() / ".cache" / "offtarget")


def add_lines(path: Path, lines: Sequence[str]) -> None:
    """Add whole lines to a file that other processes add to as well. One that cannot be written is left as it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"), path.open("ab") as file:
            # a leading newline ends a line that another process left torn
            file.write(b"\n" + "".join(lines).encode("ascii"))
    except OSError:
        return


class BaseCache:
    """Answers of one base model under one sampling setting and seed, looked up by the exact messages."""

    def __init__(self, model_fingerprint: str, sampling: SamplingSettings, seed: int, root: Path | None = None) -> None:
        name = fingerprint([model_fingerprint, to_jsonable(sampling), seed, "answers/1"])
        self._path = (root or cache_root()) / "base" / f"{name}.jsonl"
        self._seed = seed
        self._answers: dict[tuple[str, int], Generation] = {}
        """By probe key and index; probe and seed are filled in when asked for."""
        self.hits = 0
        """Answers that needed no sampling."""
        self._read_to = 0
        """Bytes of the file that are known: whole lines."""
        self.refresh()

    def refresh(self) -> None:
        """Take in what was kept since, by this process or by another one that checks a candidate of the same base."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except OSError:
            return  # no cache yet, or none that can be read
        whole = data.rfind(b"\n") + 1
        self._read_to += whole
        for line in data[:whole].splitlines():
            try:
                value = json.loads(line)
                text, tokens, opening = value["text"], value["tokens"], tuple(value.get("opening", ()))
                known = all(isinstance(turn, str) for turn in (text, *opening)) and type(tokens) is int
                if known and value["finish"] in get_args(Finish):
                    answer = Generation(
                        role="base",
                        probe_id="",
                        index=value["index"],
                        seed=0,
                        text=text,
                        tokens=tokens,
                        finish=value["finish"],
                        opening=opening,
                    )
                    self._answers[value["probe"], value["index"]] = answer
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a line torn by a crash; the answer is sampled again, the same

    def get(self, probe: Probe, index: int) -> Generation | None:
        """The kept answer, if any."""
        found = self._answers.get((_probe_key(probe), index))
        if found is None:
            return None
        self.hits += 1
        return replace(found, probe_id=probe.id, seed=answer_seed(self._seed, "base", probe.id, index))

    def holds(self, probe: Probe, index: int) -> bool:
        """Whether an answer is kept; asking this counts as no hit."""
        return (_probe_key(probe), index) in self._answers

    def put(self, pairs: Sequence[Pair]) -> None:
        """Keep answers. A cache that cannot be written is no reason to fail a run, so errors are ignored."""
        lines = []
        for probe, g in pairs:
            key = (_probe_key(probe), g.index)
            if key not in self._answers:
                self._answers[key] = g
                value = {"probe": key[0], "index": g.index, "text": g.text, "tokens": g.tokens, "finish": g.finish}
                if g.opening:
                    value["opening"] = g.opening
                lines.append(json.dumps(value) + "\n")
        add_lines(self._path, lines)


def _probe_key(probe: Probe) -> str:
    # the seed of an answer is a function of the probe's id, so the id belongs to the key
    opening = [list(probe.opening)] if probe.opening else []
    prefill = [probe.prefill] if probe.prefill else []
    return fingerprint([probe.id, [to_jsonable(m) for m in probe.messages], *opening, *prefill])
