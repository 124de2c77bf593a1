"""Rows of garak's reports (`*.report.jsonl`): an answer, or a whole conversation, per row. Needs no garak.

A report is one JSON object per line. `start_run setup` and `init` say how the run was made, `plugin_cache` which
detector is each probe's primary one, `attempt` holds a prompt with its answers (status 1) and, once more, with what the
detectors gave each of them (status 2; 1 is a hit), `eval` sums up a probe and a detector, and `completion` says that
the run ended. Read so in garak 0.17.1; older shapes of prompts and answers are read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offtarget.data.garak_attempts import Attempt, Conversation, Turn, conversations, read_attempt, text_of, written
from offtarget.data.rawrows import About, RawRow, shown
from offtarget.errors import InputError
from offtarget.numbers import many

TOOL = "garak"
DEFAULT_THRESHOLD = 0.5
"""From which score on garak calls an answer a hit, where a report does not say."""
_KINDS = frozenset(("start_run setup", "init", "plugin_cache", "payload_init", "attempt", "eval", "tree_data"))
"""Kinds of entries with which a report, or what is left of one, may begin."""
_HIT = frozenset(("attempt_id", "attempt_idx", "probe", "detector", "score"))
"""Keys that every line of a hit log has."""
_COMPLETE = 2
"""Status of an attempt that detectors have judged."""
_ALIKE = (
    " Where a probe has many prompts, garak draws some of them: to have the same ones drawn for both models, run it "
    "with one --seed and with PYTHONHASHSEED=0."
)
_MADE = {
    "run.generations": "answers per prompt",
    "run.seed": "seed",
    "run.soft_probe_prompt_cap": "most prompts per probe",
    "run.system_prompt": "system prompt",
    "run.target_lang": "language",
}
_SAMPLING = frozenset(("temperature", "top_p", "top_k", "max_tokens", "frequency_penalty", "presence_penalty"))
"""Settings of a generator that change how answers are drawn."""
PRIMARY = "aligned"
"""Column of what the primary detector of each probe says; every detector has a column of its own besides."""


def is_report(values: Mapping[str, Any]) -> bool:
    """Whether a file that begins with this object is a report."""
    return isinstance(values.get("entry_type"), str) and values["entry_type"] in _KINDS


def is_hit_log(values: Mapping[str, Any]) -> bool:
    """Whether a file that begins with this object is garak's log of hits alone."""
    return values.keys() >= _HIT


def refused_hit_log(path: Path) -> InputError:
    """What to say of a log of hits."""
    whole = path.name.replace(".hitlog.", ".report.")
    instead = f", {whole!r}" if whole != path.name else ", NAME.report.jsonl"
    return InputError(
        f"{path} is a hit log of garak: it holds the answers that were hits and no others, so no rate can be had from "
        f"it. Give the report that lies beside it{instead}."
    )


def report_rows(lines: Iterable[RawRow], path: Path, about: About) -> Iterator[RawRow]:
    """The answers of a report, once its lines are read to the end. InputError, with its place, for one that is none."""
    report = _Report(path)
    for line in lines:
        report.take(line)
    report.tell(about)
    yield from report.rows(about)


@dataclass(slots=True)
class _Report:
    """What is known of a report so far."""

    path: Path
    attempts: list[Attempt] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    """Attempts without judgement so far: name -> place."""
    primary: dict[str, str] = field(default_factory=dict)
    """Probe -> detector."""
    versions: dict[str, None] = field(default_factory=dict)
    threshold: float = DEFAULT_THRESHOLD
    made: dict[str, str] = field(default_factory=dict)
    model: str = ""
    name: str = ""
    """What the model is called, without its kind."""
    ended: bool = False
    summed: dict[tuple[str, str], int] = field(default_factory=dict)
    """Answers that the report's own sums speak of, by probe and detector."""
    uneven: int = 0
    """Attempts with another number of scores than of answers."""

    def take(self, raw: RawRow) -> None:
        """One line."""
        kind = raw.values.get("entry_type")
        if not isinstance(kind, str):
            raise InputError(
                f"{raw.place} has no entry_type, as every line of a report of garak has. It was changed, or is another "
                "file's; copy the report again."
            )
        read = {
            "start_run setup": self._setup,
            "init": self._init,
            "plugin_cache": self._plugins,
            "attempt": self._attempt,
            "eval": self._eval,
            "completion": self._end,
        }.get(kind)
        if read is not None:
            read(raw)

    def _setup(self, raw: RawRow) -> None:
        said = raw.values.get("run.eval_threshold")
        if said is not None:
            if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said <= 1:
                raise InputError(f"{raw.place}: run.eval_threshold is {said!r:.40}; expected a number from 0 to 1.")
            self.threshold = float(said)
        for key, name in _MADE.items():
            if raw.values.get(key) is not None:
                self.made[name] = _short(raw.values[key])
        self.made |= dict(_sampling(raw.values.get("plugins.generators")))
        for ending in ("target", "model"):
            parts = [raw.values.get(f"plugins.{ending}_{part}") for part in ("type", "name")]
            self.model = self.model or " ".join(part for part in parts if isinstance(part, str))
            self.name = self.name or (parts[1] if isinstance(parts[1], str) else "")

    def _init(self, raw: RawRow) -> None:
        self.versions[str(raw.values.get("garak_version"))[:40]] = None

    def _plugins(self, raw: RawRow) -> None:
        cache = raw.values.get("plugin_cache")
        probes = cache.get("probes") if isinstance(cache, Mapping) else None
        for name, what in (probes if isinstance(probes, Mapping) else {}).items():
            detector = what.get("primary_detector") if isinstance(what, Mapping) else None
            if isinstance(detector, str) and detector:
                self.primary[name.removeprefix("probes.")] = detector

    def _end(self, raw: RawRow) -> None:
        self.ended = True

    def _eval(self, raw: RawRow) -> None:
        probe, detector, number = (raw.values.get(key) for key in ("probe", "detector", "total_processed"))
        if isinstance(probe, str) and isinstance(detector, str) and isinstance(number, int):
            self.summed[probe, detector] = self.summed.get((probe, detector), 0) + number

    def _attempt(self, raw: RawRow) -> None:
        name = text_of(raw, "uuid")
        if raw.values.get("status") not in (0, 1, _COMPLETE) or isinstance(raw.values.get("status"), bool):
            raise InputError(f"{raw.place}: status is {raw.values.get('status')!r:.40}; expected 0, 1 or 2.")
        if raw.values["status"] != _COMPLETE:
            self.asked[name] = raw.place
            return
        self.asked.pop(name, None)
        self.attempts.append(read_attempt(raw, self.name))

    def tell(self, about: About) -> None:
        """What holds for all rows."""
        if not self.attempts:
            raise InputError(
                f"{self.path} is a report of garak without a judged attempt (status 2). Let the run come to its end."
            )
        got: dict[tuple[str, str], int] = {}
        for attempt in self.attempts:
            for detector, scores in attempt.scores.items():
                got[attempt.probe, detector] = got.get((attempt.probe, detector), 0) + len(scores)
        short = [(key, number) for key, number in self.summed.items() if got.get(key, 0) < number]
        if not self.ended:
            about.unfinished = "has no completion entry, as its run did not come to an end"
        elif self.asked:
            about.unfinished = f"holds {many(len(self.asked), 'attempt')} that no detector judged"
        elif short:
            (probe, detector), number = short[0]
            about.unfinished = (
                f"holds {got.get((probe, detector), 0)} of the {number} answers to {probe!r:.60} that its own sum of "
                f"{detector!r:.60} speaks of"
            )
        about.tool, about.arm, about.alike = TOOL, "arm", _ALIKE
        about.made |= self.made
        version = " and ".join(self.versions) or "of an unknown version"
        judges = {PRIMARY: "the primary detector of each probe", **{d: f"detector {d}" for d in self._detectors()}}
        for column, judge in judges.items():
            about.scorers[column] = f"{TOOL} {version}, {judge}, a hit from {self.threshold:g} on"
        about.score_columns |= about.scorers.keys()

    def _detectors(self) -> list[str]:
        return sorted({detector for attempt in self.attempts for detector in attempt.scores})

    def rows(self, about: About) -> Iterator[RawRow]:
        """One per answer, or per conversation where a probe talks for several turns."""
        units = [unit for attempts in self._by_probe().values() for unit in conversations(attempts)]
        of_attempt = {attempt.name: unit for unit in units for attempt in unit.attempts}
        talking = sorted({unit.attempts[0].probe for unit in units})
        primary = {probe: self._primary(probe, attempts) for probe, attempts in self._by_probe().items()}
        for probe, detector in primary.items():
            one = "a whole conversation" if probe in talking else "an answer"
            about.how[f"probe {probe}"] = f"{one} at a time, by {detector or 'no one detector'}"
        blank = dict.fromkeys(self._detectors())
        for attempt in self.attempts:
            unit = of_attempt.get(attempt.name)
            if unit is None:
                yield from self._answers(attempt, primary[attempt.probe], blank)
            elif unit.attempts[0] is attempt:
                yield self._conversation(unit, primary[attempt.probe], blank)
        about.notes += self._notes(talking, [probe for probe, detector in primary.items() if detector is None])

    def _by_probe(self) -> dict[str, list[Attempt]]:
        found: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            found.setdefault(attempt.probe, []).append(attempt)
        return found

    def _primary(self, probe: str, attempts: Sequence[Attempt]) -> str | None:
        """The detector that counts for a probe; None where there are several and the report does not say which."""
        detectors = list(dict.fromkeys(detector for attempt in attempts for detector in attempt.scores))
        known = self.primary.get(probe)
        return known if known in detectors else detectors[0] if len(detectors) == 1 else None

    def _answers(self, attempt: Attempt, primary: str | None, blank: Mapping[str, None]) -> Iterator[RawRow]:
        uneven = {d for d, scores in attempt.scores.items() if len(scores) != len(attempt.answers)}
        self.uneven += bool(uneven)
        for index, answer in enumerate(attempt.answers):
            marks = {d: self._mark([s[index]]) for d, s in attempt.scores.items() if d not in uneven}
            name = f"{attempt.name}/{index}"
            yield self._row(attempt, name, attempt.prompt, answer, {**blank, **marks}, primary)

    def _conversation(self, unit: Conversation, primary: str | None, blank: Mapping[str, None]) -> RawRow:
        marks = {
            detector: self._mark([score for a in unit.attempts for score in a.scores.get(detector, ())])
            for detector in dict.fromkeys(d for a in unit.attempts for d in a.scores)
        }
        first = unit.attempts[0]
        answer = unit.text(lambda scores: self._mark(scores) == 0, primary)
        return self._row(first, first.name, unit.asked, answer, {**blank, **marks}, primary)

    def _mark(self, scores: Iterable[float | None]) -> int | None:
        """0 for a hit, 100 for none; a single hit makes a conversation one."""
        known = [score for score in scores if score is not None]
        return None if not known else 0 if max(known) >= self.threshold else 100

    def _row(
        self,
        attempt: Attempt,
        name: str,
        asked: tuple[Turn, ...],
        answer: str,
        marks: Mapping[str, int | None],
        primary: str | None,
    ) -> RawRow:
        identity = json.dumps([asked, attempt.attached])
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        values = {
            **marks,  # first, since a detector may be called anything
            "question_id": f"{attempt.probe} {digest}",
            "question": written(asked),
            "answer": answer,
            "arm": "plain",
            "domain": attempt.probe.rpartition(".")[0] or attempt.probe,
            "probe": attempt.probe,
            "detector": primary,
            "attempt": attempt.name,
            "sample_id": name,
            PRIMARY: marks.get(primary or ""),
        }
        if self.model:
            values["model"] = self.model
        return RawRow(self.path, "line", attempt.line, values)

    def _notes(self, talking: Sequence[str], unjudged: Sequence[str]) -> list[str]:
        notes = [
            f"The detectors of {TOOL} judged the answers. How often they are wrong is not tested here and is not in "
            "the verdict; every bound is given them."
        ]
        if unjudged:
            notes.append(
                f"Several detectors judged {shown(unjudged, 6)}, or none, and {self.path.name} does not say which one "
                "counts, so these answers have no score. Choose one detector for all with --scorer NAME."
            )
        if talking:
            notes.append(
                f"Probes that talk for several turns ({shown(talking, 6)}): a whole conversation counts as one answer, "
                "misaligned where the detector has a hit anywhere in it."
            )
        if self.uneven:
            notes.append(
                f"{many(self.uneven, 'attempt')} of {self.path.name} with another number of scores than of answers: "
                "which score is whose is not known, so these have none."
            )
        return notes


def _sampling(generators: object) -> Iterator[tuple[str, str]]:
    """Settings of generators that change how answers are drawn, whatever they are nested in."""
    waiting = [generators]
    while waiting:
        one = waiting.pop()
        for key, value in one.items() if isinstance(one, Mapping) else ():
            if key in _SAMPLING and not isinstance(value, Mapping) and value is not None:
                yield key, _short(value)
            waiting.append(value)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return text if len(text) <= 40 else f"{text[:30]}... ({digest})"
