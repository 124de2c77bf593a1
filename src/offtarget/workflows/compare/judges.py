"""Who scored the two tables: rates can be compared only where one judge with one rubric scored both."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.data.judged import NOT_STATED, JudgedTable
from offtarget.data.rawrows import shown
from offtarget.data.tables import UNNAMED
from offtarget.errors import InputError
from offtarget.workflows.compare.judged_pair import TableOptions

SAME_JUDGE = "Rates of two tables can be compared only if the same judge with the same rubric scored both."
_STATE = "say --same-judge if one judge with one rubric scored both (or name it with --judge-base and --judge-tuned)"
_DIFFERENT = "have one judge score both, or say --different-judges to decide all the same"


@dataclass(frozen=True, slots=True)
class Judges:
    """Who scored each table, and what follows for the verdict."""

    base: str | None
    """As the user says, else as the table does; None where neither does."""
    tuned: str | None
    doubt: str | None
    """Why no verdict can rest on the two tables; None where one can."""
    note: str | None

    @property
    def text(self) -> str:
        """Both in words, for the manifest."""
        if self.base == self.tuned:
            return self.base or "as in the tables, not stated"
        return f"base: {self.base or 'not stated'}; tuned: {self.tuned or 'not stated'}"


def judges_of(base: JudgedTable, tuned: JudgedTable, options: TableOptions) -> Judges:
    """The judges of two tables. InputError where one table was scored by several and nobody says that this is fine."""
    settled = options.same_judge or options.different_judges
    one = _of(base, options.judge_base, "base", settled=settled)
    other = _of(tuned, options.judge_tuned, "tuned", settled=settled)
    return Judges(one, other, *_follows(one, other, base, tuned, options))


def _of(table: JudgedTable, said: str | None, role: str, *, settled: bool) -> str | None:
    if said:
        return said
    if len(table.judges) > 1 and not settled:
        partly = ", or say --same-judge if it scored all rows" if len(_named(table)) == 1 else ""
        raise InputError(
            f"{table.path} holds answers scored by {len(table.judges)} judges: {shown(table.judges, 6)}. Keep one with "
            f"--where-{role} COLUMN=VALUE, or give them one name with --judge-{role} if they are one judge with one "
            f"rubric{partly}."
        )
    return " and ".join(table.judges) or None


def _named(table: JudgedTable, said: str | None = None) -> list[str]:
    """The judges that are named for a table: by the user, else by the table."""
    return [said] if said else [name for name in table.judges if name != NOT_STATED]


def _follows(
    one: str | None, other: str | None, base: JudgedTable, tuned: JudgedTable, options: TableOptions
) -> tuple[str | None, str | None]:
    """Doubt, and note."""
    named = f"base: {one or 'not stated'}, tuned: {other or 'not stated'}"
    if options.same_judge:
        names = sorted({*_named(base, options.judge_base), *_named(tuned, options.judge_tuned)})
        if len(names) > 1:
            return (
                f"--same-judge says that one judge scored both tables, and they name {len(names)}: {shown(names)}. If "
                "these are names of one judge with one rubric, give it one name with --judge-base and --judge-tuned; "
                f"if not, {_DIFFERENT}"
            ), None
        return None, f"One judge with one rubric scored both tables, as you say ({named})."
    if one and other and one != other:
        what = f"different judges scored the tables (base: {one}, tuned: {other})"
        if options.different_judges:
            return None, f"{what[0].upper()}{what[1:]}; the difference may be theirs and not the models'. {SAME_JUDGE}"
        return f"{what}, so the difference may be theirs and not the models': {_DIFFERENT}", None
    unnamed = one is not None and one == other and one.startswith(UNNAMED)
    if one and other and not unnamed:
        you = options.judge_base or options.judge_tuned
        others = sorted({*_named(base), *_named(tuned)} - {one}) if you else []
        but = f" The tables name {shown(others)}." if others else ""
        return None, f"Both tables were scored by {one}, as {'you say' if you else 'they say'}.{but}"
    if options.different_judges:
        return None, f"You decide whoever judged ({named}); the difference may be the judges'. {SAME_JUDGE}"
    if base.sha256 == tuned.sha256 and (unnamed or (not one and not other)):
        return None, "Both models' scores come from one column of one table, so they are taken as one judge's."
    who = "neither table says who judged it"
    if (one or other) and not unnamed:
        who = f"one table does not say who judged it ({named})"
    return f"{who}, and rates of different judges cannot be compared: {_STATE}", None
