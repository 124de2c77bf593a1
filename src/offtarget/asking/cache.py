"""Answers of the base model, kept between runs: the next candidate of the same base needs none of them again."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from offtarget.asking.conversations import Answered
from offtarget.models.chat import Answer
from offtarget.records import Probe, SamplingSettings
from offtarget.rundir import fingerprint, to_jsonable

CACHE_ENV = "OFFTARGET_CACHE"
"""Environment variable naming the cache folder; default `~/.cache/offtarget`."""

Entry = tuple[Probe, int, Answered]
"""A probe, the index of an answer to it, and the answer."""


def cache_root() -> Path:
    """The folder that holds caches."""
    return Path(os.environ.get(CACHE_ENV) or Path.home() / ".cache" / "offtarget")


class BaseCache:
    """Answers of one base model under one sampling setting and seed, looked up by the exact messages."""

    def __init__(self, model_fingerprint: str, sampling: SamplingSettings, seed: int, root: Path | None = None) -> None:
        name = fingerprint([model_fingerprint, to_jsonable(sampling), seed, "answers/1"])
        self._path = (root or cache_root()) / "base" / f"{name}.jsonl"
        self._answers: dict[tuple[str, int], Answered] = {}
        self.hits = 0
        """Answers that needed no sampling."""
        self._read()

    def _read(self) -> None:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return  # no cache yet, or none that can be read
        for line in lines:
            try:
                value = json.loads(line)
                answer = Answer(value["text"], value["tokens"], value["finish"])
                opening = value.get("opening", ())
                known = isinstance(answer.text, str) and type(answer.tokens) is int
                known = known and all(isinstance(turn, str) for turn in opening)
                if known and answer.finish in ("stop", "length"):
                    self._answers[value["probe"], value["index"]] = Answered(answer, tuple(opening))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a line torn by a crash; the answer is sampled again, the same

    def get(self, probe: Probe, index: int) -> Answered | None:
        """The kept answer, if any."""
        answer = self._answers.get((_probe_key(probe), index))
        self.hits += answer is not None
        return answer

    def put(self, entries: Sequence[Entry]) -> None:
        """Keep answers. A cache that cannot be written is no reason to fail a run, so errors are ignored."""
        lines = []
        for probe, index, answer in entries:
            key = (_probe_key(probe), index)
            if key not in self._answers:
                self._answers[key] = answer
                value = {"probe": key[0], "index": index, **to_jsonable(answer.answer)}
                if answer.opening:
                    value["opening"] = answer.opening
                lines.append(json.dumps(value) + "\n")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock"), self._path.open("ab") as file:
                # a leading newline ends a line that another process left torn
                file.write(b"\n" + "".join(lines).encode("ascii"))
        except OSError:
            return


def _probe_key(probe: Probe) -> str:
    # the seed of an answer is a function of the probe's id, so the id belongs to the key
    opening = [list(probe.opening)] if probe.opening else []
    return fingerprint([probe.id, [to_jsonable(m) for m in probe.messages], *opening])
