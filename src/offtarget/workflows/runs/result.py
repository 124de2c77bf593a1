"""What every verb with a run returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from offtarget.errors import InputError, VerdictError
from offtarget.rundir import read_manifest
from offtarget.workflows.runs.report import report

if TYPE_CHECKING:
    from offtarget.pages.card import Card
    from offtarget.workflows.runs.answers import AnswerRow

PASSING = ("PASS", "OK", "DONE")
"""States that `raise_for_verdict` lets through."""
LONGEST = 160
"""Characters of the sentence in a `repr`."""


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """A run that was made or gone on with; each verb adds what it came to: `decision`, or else `record`."""

    run: Path
    """The run directory."""

    def report(self, format: str = "html", out: str | Path | None = None) -> Path | str:
        """The same as `offtarget.report` of this run."""
        return report(self.run, format, out)

    @property
    def card(self) -> Card:
        """What the run came to, for a reader with five seconds. Raises InputError where its records are damaged."""
        from offtarget.workflows.runs.cards import card

        return card(Path(self.run))

    @property
    def state(self) -> str:
        """PASS, FAIL or UNDECIDED; OK or ALARM of a training; DONE where no verdict is due."""
        from offtarget.workflows.runs.verbs import verb_of

        came_to = getattr(self, "decision", None) or getattr(self, "record", None)
        return verb_of(read_manifest(Path(self.run))).state(came_to)

    def raise_for_verdict(self) -> Self:
        """This result, if it is PASS, OK of a training, or DONE where no verdict is due; else raises VerdictError."""
        if self.state not in PASSING:
            raise VerdictError(self.state, self.card.sentence, str(self.run))
        return self

    @property
    def answers(self) -> Iterator[AnswerRow]:
        """Its answers as flat records, in the order in which they came; InputError where a verb keeps none."""
        from offtarget.workflows.runs.answers import answers_of

        return answers_of(Path(self.run))

    def table(self) -> list[dict[str, Any]]:
        """The same as a list of dictionaries, as `pandas.DataFrame(result.table())` takes it.

        Halves of characters, which no table can hold, are the sign for what cannot be shown.
        """
        rows = (asdict(answer) for answer in self.answers)
        return [{n: _whole(v) if isinstance(v, str) else v for n, v in row.items()} for row in rows]

    def __repr__(self) -> str:
        """One line: verb, verdict, sentence, run."""
        try:
            manifest, card = read_manifest(Path(self.run)), self.card
        except (InputError, OSError):
            return f"<{type(self).__name__} of {self.run}, which cannot be read now>"
        from offtarget.pages.text import one_line

        return one_line(f"<{manifest.verb} {card.title}: {one_line(card.sentence, LONGEST)} Run: {self.run}>", 500)

    def _repr_html_(self) -> str | None:
        """The card, for notebooks; None, and so the line of `repr`, where the run cannot be read."""
        from offtarget.pages.written import notebook

        try:
            return notebook(self.card)
        except (InputError, OSError):
            return None


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
