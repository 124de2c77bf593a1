"""Verdicts on base answers, kept between runs: nobody is asked twice about one answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.asking.ask import Pair
from offtarget.asking.cache import add_lines, cache_root
from offtarget.records import Outcome, Verdict
from offtarget.rundir import fingerprint, to_jsonable

A_DAY = 24 * 3600.0
"""Seconds for which the verdict of a judge is taken again: a model behind a name may become another one, and answers of
the base that the earlier one judged would then be held against tuned ones that the later one did."""
OTHERWISE = 2
"""Of the known answers that a judge is tried on before a check (40), so many may get another outcome than when the
verdicts were given: one in twenty, while a judge that finds 60 % where it found 90 % changes its word on six."""


def by_words(pair: Pair) -> str:
    """What a reader of question and answer sees."""
    probe, answer = pair
    asked = [to_jsonable(message) for message in probe.messages]
    rubrics = [to_jsonable(probe.judge_prompts)] if probe.judge_prompts else []
    return fingerprint([asked, list(probe.opening), list(answer.opening), answer.text, *rubrics])


def by_answer(pair: Pair) -> str:
    """Everything that a judge may look at, and which answer it is: where a judge wavers, the same words drawn twice get
    two verdicts, as they do without anything kept."""
    probe, answer = pair
    return fingerprint([to_jsonable(probe), to_jsonable(answer)])


@dataclass(frozen=True, slots=True)
class _Said:
    outcome: Outcome
    alignment: float | None
    coherence: float | None
    reason: str | None
    judge: str


class KeptVerdicts:
    """Verdicts of one judge, or ratings of one rater, on answers of one base model."""

    def __init__(
        self,
        folder: str,
        base_fingerprint: str,
        judge_fingerprint: str,
        *,
        key: Callable[[Pair], str],
        lasts: float | None = None,
        trial: str | None = None,
        root: Path | None = None,
    ) -> None:
        """`folder` of the cache; `key`: what tells two answers apart; `lasts`: seconds, None for ever.

        `trial`: which known answers the judge was tried on just now, a slash, and a letter for what each counted as.
        Verdicts that were given when it said otherwise of more than `OTHERWISE` of these are not taken again.
        """
        name = fingerprint([base_fingerprint, judge_fingerprint, f"{folder}/1"])
        self._path = (root or cache_root()) / folder / f"{name}.jsonl"
        self._key, self._lasts = key, lasts
        self._judge, self._trial = judge_fingerprint, trial
        self._found: dict[str, _Said] = {}
        """The last word counts."""
        self.hits = 0
        """Verdicts that nobody had to be asked for."""
        self._read()

    def _read(self) -> None:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return  # none kept yet, or none that can be read
        now = time.time()
        for line in lines:
            try:
                value = json.loads(line)
                # a clock that was put back proves nothing: judged again
                age = now - float(value["at"]) if self._lasts is not None else 0.0
                lasting = 0 <= age <= (self._lasts or 0.0) and _alike(self._trial, value.get("trial"))
                if isinstance(value["answer"], str) and lasting:
                    self._found[value["answer"]] = _said(value, self._judge)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # a line torn by a crash; the answer is judged again

    def get(self, pair: Pair) -> Verdict | None:
        """What was said of this answer, if anything."""
        found = self._found.get(self._key(pair))
        if found is None:
            return None
        self.hits += 1
        _, answer = pair
        return Verdict(
            answer.role,
            answer.probe_id,
            answer.index,
            found.outcome,
            alignment=found.alignment,
            coherence=found.coherence,
            reason=found.reason,
            judge=found.judge,
        )

    def put(self, judged: Iterable[tuple[Pair, Verdict]]) -> None:
        """Keep verdicts. What cannot be written is asked for again another time, so errors are ignored."""
        lines = []
        for pair, verdict in judged:
            key = self._key(pair)
            said = _Said(verdict.outcome, verdict.alignment, verdict.coherence, verdict.reason, verdict.judge)
            if self._found.get(key) != said:
                self._found[key] = said
                value = {"answer": key, "at": int(time.time()), "trial": self._trial, **to_jsonable(said)}
                lines.append(json.dumps(value) + "\n")
        if lines:
            add_lines(self._path, lines)


def kept_verdicts(base_fingerprint: str, judge_fingerprint: str, trial: str, root: Path | None = None) -> KeptVerdicts:
    """What a judge said of a base's answers within the last day, when it did as well on known answers as just now."""
    return KeptVerdicts(
        "verdicts", base_fingerprint, judge_fingerprint, key=by_answer, lasts=A_DAY, trial=trial, root=root
    )


def kept_ratings(base_fingerprint: str, rater_fingerprint: str, root: Path | None = None) -> KeptVerdicts:
    """What people or a strong judge said of a base's answers, whenever that was."""
    return KeptVerdicts("ratings", base_fingerprint, rater_fingerprint, key=by_words, root=root)


def _alike(now: str | None, then: object) -> bool:
    if now is None:
        return True
    if not isinstance(then, str) or len(then) != len(now) or then.split("/")[0] != now.split("/")[0]:
        return False
    return sum(a != b for a, b in zip(now, then, strict=True)) <= OTHERWISE


def _said(value: dict[str, Any], usual: str) -> _Said:
    """As read from a line. Raises ValueError for what no judge says."""
    alignment, coherence = value.get("alignment"), value.get("coherence")
    reason, judge = value.get("reason"), value.get("judge", usual)
    if not isinstance(reason, str | None) or not isinstance(judge, str):
        raise ValueError("reason or judge is no text")
    for score in (alignment, coherence):
        if score is not None and not (type(score) in (int, float) and 0 <= score <= 100):
            raise ValueError("a score is none")
    return _Said(Outcome(value["outcome"]), alignment, coherence, reason, judge)
