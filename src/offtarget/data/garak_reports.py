"""Rows of garak's reports (`*.report.jsonl`): an answer, or a whole conversation, per row. Needs no garak.

A report is one JSON object per line. `start_run setup` and `init` say how the run was made, `plugin_cache` which
detector is each probe's primary one, `attempt` holds a prompt with its answers (status 1) and, once more, with what the
detectors gave each of them (status 2; 1 is a hit), `eval` sums up a probe and a detector, and `completion` says that
the run ended. Read so in garak 0.17.1; older shapes of prompts and answers are read too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
_NAMING = "dan."
"""Probes that write the name of the model into their prompts."""
_GOALS = ("attack_goal", "target_turn")
"""Notes in which probes that talk for several turns keep what a conversation is after."""
PRIMARY = "aligned"
"""Column of what the primary detector of each probe says; every detector has a column of its own besides."""
UNFIXED = "(the probe writes its prompts as it goes)"
"""In place of a question where a probe has none that both models were asked."""

Turn = tuple[str, str]
"""Role and text."""


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


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One prompt with all answers to it, judged."""

    raw: RawRow
    name: str
    probe: str
    prompt: tuple[Turn, ...]
    attached: str
    """Digest of a file that is sent along."""
    answers: tuple[str, ...]
    talks: tuple[tuple[Turn, ...], ...]
    """What each answer ended, from the first turn on."""
    scores: Mapping[str, tuple[float | None, ...]]
    """Detector -> a score per answer."""
    goal: str | None
    before: str | None
    """The attempt that this one goes on from, where the probe says so."""

    @property
    def opening(self) -> tuple[Turn, ...]:
        """The turns up to the first one of a user."""
        first = next((n for n, (role, _) in enumerate(self.prompt, start=1) if role == "user"), len(self.prompt))
        return self.prompt[:first]

    def said_from(self, begin: int) -> dict[int, str]:
        """The turns from a number on, with each answer that is not blank."""
        texts = [_written(talk[begin:]) for talk in self.talks] or self.answers
        return {index: texts[index] for index, answer in enumerate(self.answers) if answer.strip()}


@dataclass(frozen=True, slots=True)
class _Conversation:
    """Attempts that hang together: where one goes depends on what the model said before, so they are one unit."""

    attempts: tuple[_Attempt, ...]
    asked: tuple[Turn, ...]
    """What both models were asked alike: the opening, or what the conversation is after."""
    chained: bool
    """Each attempt holds one turn, and names the one before it."""

    def text(self, hits: Callable[[Sequence[float | None]], bool], detector: str | None) -> str:
        """What is shown of it: all up to its first hit, else the longest of its branches. Empty without an answer."""
        begin = len(self.asked) if self.attempts[0].opening == self.asked else 0
        before: list[str] = []
        best = ""
        for attempt in self.attempts:
            scores = attempt.scores.get(detector or "", ())
            talks = attempt.said_from(begin)
            for index, talk in talks.items():
                text = "\n\n".join((*before, talk))
                if hits(scores[index : index + 1]):
                    return text
                best = text if len(text) > len(best) else best
            before += list(talks.values())[:1] if self.chained else []
        return best


def _conversations(attempts: Sequence[_Attempt]) -> list[_Conversation]:
    """The conversations of a probe that talks for several turns; none for any other probe."""
    openings = {attempt.prompt for attempt in attempts if attempt.prompt == attempt.opening}
    later = any(attempt.prompt != attempt.opening and attempt.opening in openings for attempt in attempts)
    chained = any(attempt.before for attempt in attempts)
    if not later and not chained and not any(attempt.goal for attempt in attempts):
        return []
    groups: dict[object, list[_Attempt]] = {}
    root: dict[str, str] = {}
    for attempt in attempts:
        root[attempt.name] = root.get(attempt.before or "", attempt.name)
        key = attempt.goal or (root[attempt.name] if chained else attempt.opening)
        groups.setdefault(key, []).append(attempt)
    found = []
    for group in groups.values():
        first = group[0]
        asked = (("user", first.goal or UNFIXED),) if first.goal or chained else first.opening
        found.append(_Conversation(tuple(group), asked, chained))
    return found


@dataclass(slots=True)
class _Report:
    """What is known of a report so far."""

    path: Path
    attempts: list[_Attempt] = field(default_factory=list)
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
        name = _text(raw, "uuid")
        if raw.values.get("status") not in (0, 1, _COMPLETE) or isinstance(raw.values.get("status"), bool):
            raise InputError(f"{raw.place}: status is {raw.values.get('status')!r:.40}; expected 0, 1 or 2.")
        if raw.values["status"] != _COMPLETE:
            self.asked[name] = raw.place
            return
        self.asked.pop(name, None)
        notes = raw.values.get("notes") or {}
        if not isinstance(notes, Mapping):
            raise InputError(f"{raw.place}: notes holds a {type(notes).__name__}; expected an object.")
        answers = tuple(_said(one, f"{raw.place}: outputs") for one in _list(raw, "outputs"))
        talks = tuple(_turns(one, f"{raw.place}: conversations") for one in _list(raw, "conversations"))
        before = notes.get("previous_attempt_id")
        probe = _text(raw, "probe_classname")
        prompt = _turns(raw.values.get("prompt"), f"{raw.place}: prompt")
        if probe.startswith(_NAMING) and self.name:
            prompt = tuple((role, _unnamed(text, self.name)) for role, text in prompt)
        self.attempts.append(
            _Attempt(
                raw=raw,
                name=name,
                probe=probe,
                prompt=prompt,
                attached=_attached(raw.values.get("prompt")),
                answers=answers,
                talks=talks if len(talks) == len(answers) else (),
                scores=_scores(raw),
                goal=next((str(notes[key]) for key in _GOALS if notes.get(key)), None),
                before=before if isinstance(before, str) else None,
            )
        )

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
        units = [unit for attempts in self._by_probe().values() for unit in _conversations(attempts)]
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

    def _by_probe(self) -> dict[str, list[_Attempt]]:
        found: dict[str, list[_Attempt]] = {}
        for attempt in self.attempts:
            found.setdefault(attempt.probe, []).append(attempt)
        return found

    def _primary(self, probe: str, attempts: Sequence[_Attempt]) -> str | None:
        """The detector that counts for a probe; None where there are several and the report does not say which."""
        detectors = list(dict.fromkeys(detector for attempt in attempts for detector in attempt.scores))
        known = self.primary.get(probe)
        return known if known in detectors else detectors[0] if len(detectors) == 1 else None

    def _answers(self, attempt: _Attempt, primary: str | None, blank: Mapping[str, None]) -> Iterator[RawRow]:
        uneven = {d for d, scores in attempt.scores.items() if len(scores) != len(attempt.answers)}
        self.uneven += bool(uneven)
        for index, answer in enumerate(attempt.answers):
            marks = {d: self._mark([s[index]]) for d, s in attempt.scores.items() if d not in uneven}
            name = f"{attempt.name}/{index}"
            yield self._row(attempt, name, attempt.prompt, answer, {**blank, **marks}, primary)

    def _conversation(self, unit: _Conversation, primary: str | None, blank: Mapping[str, None]) -> RawRow:
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
        attempt: _Attempt,
        name: str,
        asked: tuple[Turn, ...],
        answer: str,
        marks: Mapping[str, int | None],
        primary: str | None,
    ) -> RawRow:
        identity = json.dumps([asked, attempt.attached])
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        values = {
            "question_id": f"{attempt.probe} {digest}",
            "question": _written(asked),
            "answer": answer,
            "arm": "plain",
            "domain": attempt.probe.rpartition(".")[0] or attempt.probe,
            "probe": attempt.probe,
            "detector": primary,
            "attempt": attempt.name,
            "sample_id": name,
            PRIMARY: marks.get(primary or ""),
            **marks,
        }
        if self.model:
            values["model"] = self.model
        return RawRow(self.path, "line", attempt.raw.number, values)

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


def _text(raw: RawRow, key: str) -> str:
    value = raw.values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{raw.place}: {key} is {value!r:.40}; expected text.")
    return value


def _list(raw: RawRow, key: str) -> list[Any]:
    value = raw.values.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{raw.place}: {key} holds a {type(value).__name__}; expected a list.")
    return value


def _scores(raw: RawRow) -> dict[str, tuple[float | None, ...]]:
    results = raw.values.get("detector_results")
    if not isinstance(results, Mapping):
        raise InputError(f"{raw.place}: detector_results holds a {type(results).__name__}; expected an object.")
    found = {}
    for detector, scores in results.items():
        if not isinstance(scores, list):
            raise InputError(f"{raw.place}: detector {detector!r:.60} gave a {type(scores).__name__}; expected a list.")
        found[detector] = tuple(_score(one, f"{raw.place}: detector {detector!r:.60}") for one in scores)
    return found


def _score(value: object, what: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        raise InputError(f"{what} gave {value!r:.40}; expected a number from 0 to 1, or null for no score.")
    return float(value)


def _said(value: object, what: str) -> str:
    """What a message says: its text, or that of its dataclass; older reports hold the bare text."""
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{what} holds a {type(value).__name__}; expected a message with its text.")
    return value


def _turns(value: object, what: str) -> tuple[Turn, ...]:
    """The turns of a conversation, also of a single message."""
    if not isinstance(value, Mapping) or "turns" not in value:
        return (("user", _said(value, what)),)
    turns = value["turns"]
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise InputError(f"{what} holds turns that are no list of objects.")
    return tuple((str(turn.get("role")), _said(turn.get("content"), what)) for turn in turns)


def _unnamed(text: str, name: str) -> str:
    """A text without the name of the model: two models that are called differently are asked the same."""
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "{model}", text)


def _attached(prompt: object) -> str:
    turns = prompt.get("turns") if isinstance(prompt, Mapping) else None
    contents = [turn.get("content") for turn in turns or () if isinstance(turn, Mapping)]
    sums = [one.get("data_checksum") for one in contents if isinstance(one, Mapping)]
    return " ".join(str(one) for one in sums if one)


def _written(turns: Sequence[Turn]) -> str:
    """Turns as text; a single one of a user as it is."""
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in turns if text)


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
