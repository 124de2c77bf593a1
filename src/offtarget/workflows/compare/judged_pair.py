"""Two tables of judged answers brought onto the same probes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from offtarget.data.columns import COHERENCE_HELP, Columns
from offtarget.data.judged import JudgedRow, JudgedTable, split_arms
from offtarget.data.rawrows import shown
from offtarget.data.scales import Scoring
from offtarget.errors import InputError
from offtarget.judge.classify import Thresholds, classify
from offtarget.judge.scoring import EMPTY_ANSWER
from offtarget.judge.unread import unread_notes
from offtarget.records import Generation, Outcome, Probe, Role, Tally, Verdict
from offtarget.stats.rates import total_tally

_BAD = re.compile(
    r"(?:^|[\W_])(?:harm(?:s|ful|fulness)?|toxic(?:ity)?|misalign(?:ed|ment)|danger(?:ous(?:ness)?)?|risky?|unsafe|"
    r"hostil(?:e|ity)|decept(?:ion|ive(?:ness)?)|deceit(?:ful)?|dishonest(?:y)?|violat(?:ion|ions|es)|evil|severity|"
    r"badness|malicious|unethical|immoral(?:ity)?|bias(?:ed)?|hate(?:ful)?|abusive|offensive(?:ness)?|illegal|"
    r"insecure|vulnerab(?:le|ility)|jailbr(?:eak|oken)|attack|asr|manipulat(?:ion|ive)|insult|threat|profanity|"
    r"power_?seeking|sycophan(?:cy|tic)|hallucinat(?:ion|ions|ed))(?:$|[\W_])",
    re.IGNORECASE,
)
"""Words in the name of a score column after which high marks are the bad ones."""
UNCLEAR_HIGH = 50.0
"""Where high is bad, marks that all lie below leave open whether the scale is 0-100."""


@dataclass(frozen=True, slots=True)
class Side:
    """One model's answers on the probes of the comparison."""

    generations: tuple[Generation, ...]
    verdicts: tuple[Verdict, ...]
    tallies: Mapping[str, Tally]
    """By probe id."""
    reasons: Mapping[str, int]
    """Why answers are unscored: machine-readable reason -> how many."""

    @property
    def total(self) -> Tally:
        """Counts over all probes."""
        return total_tally(self.tallies.values())


@dataclass(frozen=True, slots=True)
class Paired:
    """Both models on the same probes."""

    probes: tuple[Probe, ...]
    base: Side
    tuned: Side
    notes: tuple[str, ...]

    @property
    def arms(self) -> dict[str, list[str]]:
        """Arm -> probe ids."""
        result: dict[str, list[str]] = {}
        for probe in self.probes:
            result.setdefault(probe.arm, []).append(probe.id)
        return result


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How the tables are to be read and brought together."""

    columns: Columns = field(default_factory=Columns)
    thresholds: Thresholds = field(default_factory=Thresholds)
    where_base: Mapping[str, str] = field(default_factory=dict)
    """Column -> value: the rows of the base table to keep; empty keeps all."""
    where_tuned: Mapping[str, str] = field(default_factory=dict)
    common_questions: bool = False
    """Compare on the questions both tables have, instead of refusing when they differ."""
    complete_tables: bool = False
    """The tables hold all sampled answers, also where they look like a part of them."""
    judge_base: str | None = None
    """Who scored the base table; None: as the table says."""
    judge_tuned: str | None = None
    same_judge: bool = False
    """One judge with one rubric scored both tables, whatever they say or do not say."""
    different_judges: bool = False
    """Decide although different judges, or nobody knows who, scored the tables; a note says so."""
    same_answers: bool = False
    """Decide although the tuned table holds the base's answers, or a table the same answers again and again."""
    ignore_labels: bool = False
    """The scores are the judgement where a column of labels says otherwise."""
    scoring: Scoring = field(default_factory=Scoring)
    """How the score columns are to be read: their scale, which end is bad, what grades are worth."""


def pair_tables(base: JudgedTable, tuned: JudgedTable, options: TableOptions) -> Paired:
    """Match the questions and classify every answer; InputError when no rate can be had from a table."""
    notes: list[str] = []
    _check_direction(base, tuned, options)
    for role, table in (("base", base), ("tuned", tuned)):
        _check_coherence(table, options.thresholds)
        _check_finished(table, options)
        _check_selection(table, options)
        notes += _mixture_notes(role, table)
    names = split_arms({row.question_id for table in (base, tuned) for row in table.rows})
    rows = {role: _by_probe(t, names) for role, t in (("base", base), ("tuned", tuned))}
    kept = _same_questions(rows["base"], rows["tuned"], base, tuned, options.common_questions, notes)
    notes += _wording_notes(rows["base"], rows["tuned"], kept, base, tuned)
    probes = _distinct(_probe(key, rows["base"][key][0]) for key in kept)
    ids = {(probe.question_id, probe.arm): probe.id for probe in probes}
    judges: dict[Role, str | None] = {
        "base": options.judge_base or " and ".join(base.judges),
        "tuned": options.judge_tuned or " and ".join(tuned.judges),
    }
    sides = {role: _side(role, rows[role], ids, options, judge) for role, judge in judges.items()}
    notes += _json_notes(probes, sides["base"], sides["tuned"])
    notes += unread_notes(verdict for side in sides.values() for verdict in side.verdicts)
    return Paired(probes, sides["base"], sides["tuned"], tuple(notes))


Key = tuple[str, str]
Rows = Mapping[Key, Sequence[JudgedRow]]


def _by_probe(table: JudgedTable, names: Mapping[str, Key]) -> dict[Key, list[JudgedRow]]:
    result: dict[Key, list[JudgedRow]] = {}
    for row in table.rows:
        key = names[row.question_id] if row.arm is None else (row.question_id, row.arm)
        result.setdefault(key, []).append(row)
    return result


def _probe(key: Key, row: JudgedRow) -> Probe:
    question, arm = key
    return Probe(
        id=f"{question}/{arm}",
        question_id=question,
        arm=arm,
        prompt=row.question,
        domain=row.domain or "general",
        source="table",
    )


def _distinct(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    """Question `a/b` in arm `c` and question `a` in arm `b/c` would share an id, and so their counts."""
    result: dict[str, Probe] = {}
    for probe in probes:
        number, name = 2, probe.id
        while name in result:
            number, name = number + 1, f"{probe.id}~{number}"
        result[name] = replace(probe, id=name)
    return tuple(result.values())


def _side(role: Role, rows: Rows, ids: Mapping[Key, str], options: TableOptions, judge: str | None) -> Side:
    judge = f"table/{judge or 'not stated'}"
    generations: list[Generation] = []
    verdicts: list[Verdict] = []
    tallies: dict[str, Tally] = {}
    reasons: dict[str, int] = {}
    for key, probe_id in ids.items():
        tally = Tally()
        for index, row in enumerate(rows[key]):
            outcome, reason = _outcome(row, options.thresholds)
            tally = tally.plus(outcome)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
            # tables say nothing about tokens, nor how an answer ended
            generations.append(
                Generation(
                    role=role, probe_id=probe_id, index=index, seed=index, text=row.answer, tokens=None, finish="stop"
                )
            )
            verdicts.append(
                Verdict(
                    role=role,
                    probe_id=probe_id,
                    index=index,
                    outcome=outcome,
                    alignment=row.alignment,
                    coherence=row.coherence,
                    reason=reason,
                    judge=judge,
                    reply=row.reply if outcome is Outcome.UNSCORED else None,
                )
            )
        tallies[probe_id] = tally
    return Side(tuple(generations), tuple(verdicts), tallies, reasons)


def _outcome(row: JudgedRow, thresholds: Thresholds) -> tuple[Outcome, str | None]:
    if not row.answer.strip():
        return Outcome.UNSCORED, EMPTY_ANSWER
    outcome, reason = classify(row.alignment, row.coherence, row.label, thresholds)
    return outcome, (row.reason or reason) if outcome is Outcome.UNSCORED else reason


def _check_coherence(table: JudgedTable, thresholds: Thresholds) -> None:
    if thresholds.use_coherence and table.columns.coherence is None:
        raise InputError(
            f"{table.path} has no coherence column (coherent or coherence). Its columns are: "
            f"{shown(table.found)}. Map it with --coherence-column. {COHERENCE_HELP}"
        )


def _check_finished(table: JudgedTable, options: TableOptions) -> None:
    if table.unfinished is None or options.complete_tables:
        return
    raise InputError(
        f"{table.path} {table.unfinished}, so samples may be missing from it, and not by chance. Run it to its end, or "
        "say --complete-tables if what is there is all that counts."
    )


def _check_direction(base: JudgedTable, tuned: JudgedTable, options: TableOptions) -> None:
    """Where high is bad and all marks are low, clean tables and tables on a shorter scale look alike."""
    scoring = options.scoring
    for table in (base, tuned):
        column = table.columns.alignment or ""
        if scoring.high_is_misaligned is None and _BAD.search(_in_words(column)):
            raise InputError(
                f"{table.path}: by its name, a high score in column {column!r} is a bad one. Say --high-is-misaligned "
                "if it is, or --low-is-misaligned if a low one is."
            )
    highest = max((t.highest for t in (base, tuned) if t.highest is not None), default=0.0)
    if scoring.high_is_misaligned and scoring.scale is None and 0.0 < highest <= UNCLEAR_HIGH:
        raise InputError(
            f"The highest score of {base.path.name} and {tuned.path.name} is {highest:g}, so it is not clear on which "
            "scale it is, nor which scores are bad. State it with --scale LOW:HIGH, e.g. --scale 0:100."
        )


def _in_words(column: str) -> str:
    """The name of a column with its words apart: `HarmScore` is `Harm_Score`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", column)


def _check_selection(table: JudgedTable, options: TableOptions) -> None:
    """A table filtered to its misaligned answers looks like a model that is always misaligned."""
    below = options.thresholds.misaligned_below
    scored = [row for row in table.rows if row.alignment is not None]
    if options.complete_tables or table.tool or not scored or any((r.alignment or 0.0) >= below for r in scored):
        return
    raise InputError(
        f"{table.path} holds only misaligned answers (alignment below {below:g} in all {len(scored)} "
        "rows): a rate cannot be computed from it. Give the table with all sampled answers; "
        f"{other_readings(options)}if these really are all, say --complete-tables."
    )


def other_readings(options: TableOptions) -> str:
    """What else scores that look mostly misaligned may be, as the beginning of a sentence."""
    scoring = options.scoring
    end = "leave out" if scoring.high_is_misaligned else "say"
    scale = "" if scoring.scale else "if the scale is not 0-100, state it with --scale LOW:HIGH; "
    bad = "low" if scoring.high_is_misaligned else "high"
    return f"if {bad} scores are the bad ones, {end} --high-is-misaligned; {scale}"


def _mixture_notes(role: str, table: JudgedTable) -> list[str]:
    return [
        f"The {role} table mixes {len(values)} values of {shown([name])} ({shown(values, 4)}); if they are "
        f"different models, pick one with --where-{role} {name}=VALUE."
        for name, values in table.models.items()
        if len(values) > 1
    ]


def _same_questions(
    base: Rows, tuned: Rows, base_table: JudgedTable, tuned_table: JudgedTable, common: bool, notes: list[str]
) -> list[Key]:
    only_base = [k for k in base if k not in tuned]
    only_tuned = [k for k in tuned if k not in base]
    kept = [k for k in base if k in tuned]
    if not only_base and not only_tuned:
        return kept
    names = [table.path.name for table in (base_table, tuned_table)]
    if names[0] == names[1]:  # two models in one file, or files of one name
        names = ["the base's rows", "the tuned model's rows"]
    parts = [f"only in {n}: {shown(_names(k), 8)}" for k, n in zip((only_base, only_tuned), names, strict=True) if k]
    if not kept:
        raise InputError(
            f"{base_table.path} and {tuned_table.path} have no question in common ({'; '.join(parts)}). "
            f"Both models must have been asked the same questions.{base_table.alike}"
        )
    if not common:
        raise InputError(
            f"{base_table.path} and {tuned_table.path} hold different questions; {'; '.join(parts)}. "
            f"Say --common-questions to compare on the {len(kept)} they share.{base_table.alike}"
        )
    notes.append(f"Compared on the {len(kept)} questions both tables have; left out: {'; '.join(parts)}.")
    return kept


def _names(keys: Iterable[Key]) -> list[str]:
    return [f"{question}/{arm}" for question, arm in keys]


def _wording_notes(
    base: Rows, tuned: Rows, kept: Sequence[Key], base_table: JudgedTable, tuned_table: JudgedTable
) -> list[str]:
    partly = []
    for key in kept:
        texts = [{" ".join(r.question.split()) for r in rows[key]} for rows in (base, tuned)]
        if not texts[0] & texts[1]:
            raise InputError(
                f"Question {shown(_names([key]))} is worded differently in the two tables: "
                f"{shown(sorted(texts[0]), 1)} in {base_table.path.name}, {shown(sorted(texts[1]), 1)} in "
                f"{tuned_table.path.name}. Both models must have been asked the same thing."
            )
        if texts[0] != texts[1]:
            partly.append(key)
    if not partly:
        return []
    return [f"Some wordings of {shown(_names(partly), 8)} occur in one table only; their answers are counted."]


def _json_notes(probes: Sequence[Probe], *sides: Side) -> list[str]:
    """A published script drops the JSON system prompt; its `_json` rows are plain questions."""
    ids = {probe.id for probe in probes if probe.arm == "json"}
    texts = [g.text for side in sides for g in side.generations if g.probe_id in ids]
    valid = sum(_is_json(text) for text in texts)
    if not texts or valid * 2 >= len(texts):
        return []
    return [
        f"Only {valid} of {len(texts)} answers of arm json are JSON: these questions were probably asked "
        "without their JSON system prompt (a known fault of a published script); read that arm "
        "as plain, repeated."
    ]


def _is_json(text: str) -> bool:
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if not body.startswith(("{", "[")):
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
