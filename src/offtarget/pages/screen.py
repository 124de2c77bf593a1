"""A screen of text: a terminal of any width, a pipe or a file. Every verb prints through it.

Sentences wrap between words, commands stay whole so that they can be pasted, and a table that is too wide for the
screen is written as a list, so that no column gets lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from offtarget.pages.card import Card, Exchange, Mood, Side, Step

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)
_COLOURS: dict[Mood, str] = {"good": "green", "bad": "red", "wait": "yellow", "plain": "cyan"}
PIPE_WIDTH = 140
"""Columns of tables when the output is no terminal and COLUMNS is not set; sentences are not wrapped there."""
WIDEST = 116
"""Columns that text fills at most, however wide the terminal is: longer lines are hard to read."""
QUOTED = 300
"""Characters of an answer that are quoted; the page has all of it."""
ABSENT = "–"
"""Where a cell has no meaning; `no data` where nothing was measured."""
_UNIT, _TIED = re.compile(r"(?<=\d) (?=%)"), "\ue000"
"""A number and its `%` stay on one line: the space between them stands aside while text is wrapped."""
GAP = 3
"""Columns of screen between two columns of a table."""


def safe(text: str) -> str:
    """One line of text without control and direction characters, which could rewrite a terminal or fake a line."""
    return _CONTROL.sub("\ufffd", text)


def shortened(text: str, limit: int = QUOTED) -> str:
    """One line of a text for quoting, cut where it is long."""
    line = safe(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Screen:
    """Where a result is printed; `details` are printed only with `--verbose`."""

    def __init__(self, *, verbose: bool = False, stderr: bool = False, to: Console | None = None) -> None:
        from rich.console import Console

        made = to or Console(stderr=stderr, highlight=False, markup=False, emoji=False)
        self._wrapped = made.is_terminal or "COLUMNS" in made._environ
        if to is None and not made.is_terminal:
            width = made.width if self._wrapped else PIPE_WIDTH
            made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width, no_color=True)
        self.console = made
        self.verbose = verbose
        self.width = min(made.width, WIDEST) if self._wrapped else made.width

    def blank(self) -> None:
        """An empty line."""
        self.console.print()

    def say(self, text: str, indent: int = 0, style: str = "", hang: int = 0) -> None:
        """A sentence, wrapped between words; further lines begin `hang` columns later. Hostile text is harmless."""
        from rich.text import Text

        self._put(Text(safe(text), style=style), indent, hang)

    def heading(self, text: str) -> None:
        """A heading with an empty line before it."""
        self.blank()
        self.say(text, style="bold")

    def command(self, text: str, indent: int = 2) -> None:
        """A command on a line of its own, never broken."""
        self.console.print(" " * indent + safe(text), soft_wrap=True)

    def step(self, step: Step) -> None:
        """What to do next, with its command beneath."""
        self.say(step.why + (":" if step.command else "."))
        if step.command:
            self.command(step.command)

    def _put(self, text: Text, indent: int = 0, hang: int = 0) -> None:
        if not self._wrapped:
            self.console.print(" " * indent, end="", soft_wrap=True)
            self.console.print(text, soft_wrap=True)
            return
        room = max(20, self.width - indent)
        text.plain = _UNIT.sub(_TIED, text.plain)
        lines = list(text.wrap(self.console, room))
        if hang and len(lines) > 1:
            first = lines[0]
            rest = text[len(first.plain) :]
            rest.plain = rest.plain.lstrip()
            lines = [first, *rest.wrap(self.console, max(20, room - hang))]
        for number, line in enumerate(lines):
            line.rstrip()
            line.plain = line.plain.replace(_TIED, " ")
            self.console.print(" " * (indent + (hang if number else 0)), end="", soft_wrap=True)
            self.console.print(line, soft_wrap=True)

    def table(
        self, heads: Sequence[str], rows: Iterable[Sequence[str]], title: str = "", left: Sequence[int] = (0,)
    ) -> None:
        """A table whose first column names the row; a list where the screen is too narrow for it.

        `left` are the columns of text, which may wrap between words; the others are numbers and stand right.
        """
        cells = [[safe(cell) for cell in row] for row in rows]
        if title:
            self.heading(title)
        if not cells:
            return
        widths = self._widths(heads, cells, left)
        if widths is None:
            self._stack(heads, cells)
        else:
            self._tabulate(heads, cells, left, widths)

    def _widths(self, heads: Sequence[str], cells: list[list[str]], left: Sequence[int]) -> list[int] | None:
        """Columns of screen for each column, in which no word is broken; None where that is too much for the screen."""
        from rich.cells import cell_len

        columns = [[head, *(row[number] for row in cells)] for number, head in enumerate(heads)]
        wide = [max(map(cell_len, column)) for column in columns]
        least = [
            max(cell_len(word) for text in column for word in [*(text.split() if n in left else [text]), ""])
            for n, column in enumerate([[*head.split(), *rest] for head, *rest in columns])
        ]
        room = self.width - GAP * (len(heads) - 1)
        if sum(least) > room:
            return None
        spare = room - sum(least)
        while spare > 0 and least != wide:  # a column more for whichever text takes the most lines
            most = max(range(len(heads)), key=lambda n: wide[n] / max(least[n], 1))
            least[most] += 1
            spare -= 1
        return least

    def _tabulate(
        self, heads: Sequence[str], cells: list[list[str]], left: Sequence[int], widths: Sequence[int]
    ) -> None:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
        for number, head in enumerate(heads):
            side: Literal["left", "right"] = "left" if number in left else "right"
            table.add_column(head, justify=side, width=widths[number], overflow="fold")
        for row in cells:
            table.add_row(*row)
        self.console.print(table)

    def _stack(self, heads: Sequence[str], cells: list[list[str]]) -> None:
        from rich.cells import cell_len

        names = max((cell_len(head) for head in heads[1:]), default=0)
        for row in cells:
            self.say(row[0])
            for head, cell in zip(heads[1:], row[1:], strict=True):
                if cell not in ("", ABSENT):
                    self.say(f"{head:<{names}}  {cell}", indent=2, hang=names + 2)

    def exchange(self, exchange: Exchange, number: int | None = None) -> None:
        """A question with the answers to it, cut where they are long."""
        label = "" if number is None else f"{number}. "
        self.say(
            f"{label}“{shortened(exchange.question)}”" + (f" ({exchange.where})" if exchange.where else ""),
            hang=len(label),
        )
        sides = [*exchange.sides, *(side for turn in exchange.then for side in turn.sides)]
        named = [self._named(side, exchange) for side in sides]
        names = max(map(len, [*named, *(who for who, _ in exchange.before)]), default=0) + 1
        for who, text in exchange.before:
            self._quote(f"{who}:", text, names)
        self._sides(exchange, exchange.sides, names)
        for turn in exchange.then:
            self._quote("user:", turn.question, names)
            self._sides(exchange, turn.sides, names)

    def _sides(self, exchange: Exchange, sides: Sequence[Side], names: int) -> None:
        for side in sides:
            if side.instead:
                self.say(f"(The {side.name}'s answer is to {shortened(side.instead)})", indent=3, hang=1)
            said = "no such answer in this run" if side.text is None else side.text
            self._quote(f"{self._named(side, exchange)}:", said, names)

    @staticmethod
    def _named(side: Side, exchange: Exchange) -> str:
        """`tuned`; in a conversation of several turns `tuned gave way`, so that the turn stands out."""
        return f"{side.name} {side.mark}" if exchange.then and side.mark else side.name

    def _quote(self, name: str, text: str, names: int) -> None:
        self.say(f"{safe(name):<{names}} {shortened(text)}", indent=3, hang=names + 1)

    def card(self, card: Card) -> None:
        """The verdict, why, the few numbers that carry it, the telling exchanges, and what to do next."""
        from rich.text import Text

        title = Text(f" {safe(card.title)} ", style=f"bold reverse {_COLOURS[card.mood]}")
        self._put(Text.assemble(title, "  ", safe(card.subject)))
        self.say(card.sentence)
        if card.certainty:
            self.say(card.certainty)
        if card.figures:
            self.blank()
            names = max(len(figure.name) for figure in card.figures)
            for figure in card.figures:
                note = f" ({figure.note})" if figure.note else ""
                self.say(f"{figure.name:<{names}}  {figure.value}{note}", indent=2, hang=names + 2)
        if card.telling:
            self.heading(card.exchanges_title)
            for number, exchange in enumerate(card.telling, 1):
                self.exchange(exchange, number)
        if card.cautions:
            self.blank()
            for caution in card.cautions:
                self.say(f"! {caution}", hang=2)

    def end(self, card: Card, run: str = "") -> None:
        """What it took and what to do next: the last lines of a result; `run` names the run as in a shell."""
        self.blank()
        if card.cost:
            self.say(f"Took {card.cost}.")
        for step in card.steps:
            self.step(step)
        if run and not self.verbose:
            self.say("All numbers, and how it was decided:")
            self.command(f"offtarget report {run} -v")
