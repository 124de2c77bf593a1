"""The pages of the view as HTML. Their script only loads them again and puts in what changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from offtarget.numbers import file_size
from offtarget.pages.card import Card
from offtarget.pages.page import environment, template_file
from offtarget.pages.runs.diff import HEADS, RunsDiff, rate_rows
from offtarget.pages.view.shown import GOING, Found, Listed, Row, RunPage, SideBySide
from offtarget.version import __version__
from offtarget.words import TERMS

FILES = {
    "page.css": ("page.css", "text/css"),
    "view.css": ("view/view.css", "text/css"),
    "view.js": ("view/view.js", "text/javascript"),
}
SHOWS = (
    ("all", "all"), ("differ", "where the outcomes differ"), ("misaligned", "with a misaligned answer"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs side by side."""

    rows: tuple[Row, Row]
    """The earlier and the later one."""
    card: Card | None
    """What changed; None where that cannot be said, and `why` says why."""
    why: str = ""
    diff: RunsDiff | None = None
    aligned: SideBySide | None = None
    said: str = ""
    """Which questions both were asked."""

    def query(self, show: str, who: str, page: int) -> str:
        """The end of the address of another page of the answers."""
        parts = [("run", self.rows[0].ident), ("run", self.rows[1].ident), ("show", show), ("who", who)]
        return f"?{urlencode([*parts, *([('page', str(page))] if page > 1 else [])])}#aligned"


def file(name: str) -> tuple[bytes, str] | None:
    """A style sheet or the script, and its type; None for any other name."""
    if name not in FILES:
        return None
    path, kind = FILES[name]
    return template_file(path).encode(), kind


def list_page(listed: Listed) -> str:
    """The list of runs."""
    return _page("list", listed.folder, here="list", polls=True, list=listed)


def run_page(run: RunPage, folder: str, at: str = "") -> str:
    """One run; `at` is the answer that somebody was sent to."""
    answers = run.answers
    outcome = "" if answers is None else answers.outcome

    def query(outcome: str, page: int) -> str:
        parts = {"outcome": outcome, "page": str(page) if page > 1 else ""}
        return f"{run.row.address}?{urlencode({n: v for n, v in parts.items() if v})}#answers"

    by_page: Callable[[int], str] = lambda page: query(outcome, page)  # noqa: E731
    words = TERMS if run.card is not None and run.card.certainty else {}
    more = {"query": query, "page_query": by_page, "going_heads": GOING, "words": words}
    return _page("run", folder, here="run", polls=run.row.live, run=run, at=at, **more)


def compare_page(found: Compared, folder: str) -> str:
    """Two runs side by side."""
    aligned = found.aligned
    show, who = ("all", "tuned") if aligned is None else (aligned.show, aligned.who)
    earlier, later = found.rows
    return _page(
        "compare", folder, here="compare", polls=False, rows=found.rows, card=found.card, why=found.why,
        diff=found.diff, heads=HEADS, rates=[] if found.diff is None else rate_rows(found.diff), aligned=aligned,
        said=found.said, shows=SHOWS, query=found.query, page_query=lambda page: found.query(show, who, page),
        swapped=f"/compare?{urlencode([('run', later.ident), ('run', earlier.ident)])}",
        words=TERMS if found.card is not None and found.card.certainty else {},
    )  # fmt: skip


def search_page(found: Found, folder: str) -> str:
    """What a search found."""
    parts = {"q": found.text, "run": found.run, "since": found.go_on}
    onward = f"/search?{urlencode({n: v for n, v in parts.items() if v}, errors='replace')}"
    return _page("search", folder, here="search", polls=False, found=found, onward=onward, read=file_size(found.read))


def problem_page(message: str, folder: str) -> str:
    """What went wrong, as a sentence."""
    return _page("problem", folder, here="problem", polls=False, message=message)


def _page(name: str, folder: str, **values: Any) -> str:
    template = environment().get_template(f"view/{name}.html.j2")
    as_of = time.strftime("%H:%M:%S")
    return template.render(folder=folder, version=__version__, as_of=as_of, **values)
