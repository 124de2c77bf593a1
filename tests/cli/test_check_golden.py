"""What `check` prints, of every kind and at every width, as it is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from check_runs import MADE, STATES

from golden import WIDTHS, golden, longest, printed

JARGON = re.compile(r"\b(?:e (?:not )?worse|log e|arms?|slices?|e-values?|delta|cued?)\b")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of every kind."""
    made = {name: make(tmp_path_factory.mktemp(name)) for name, make in MADE.items()}
    assert {n: result.decision.status for n, result in made.items()} == {n: STATES.get(n, n.upper()) for n in MADE}
    return {name: result.run for name, result in made.items()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MADE)
def test_a_check_reads_as_kept(runs: dict[str, Path], name: str, width: int | None) -> None:
    """Verdict, sentence, figures, transcripts, next command; no line but commands is wider than the screen."""
    text = printed(["report", str(runs[name])], width).stdout
    golden(f"check-{name}-{width or 'pipe'}", text, runs[name].parent)
    if width is not None:
        assert longest(text) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MADE)
def test_no_number_is_lost_at_any_width(runs: dict[str, Path], name: str, width: int | None) -> None:
    """All that `-v` prints on a wide screen, it prints on a narrow one: tables become lists, no column is cut."""
    text = printed(["report", str(runs[name]), "-v"], width).stdout
    if width in (80, None):
        golden(f"check-{name}-v-{width or 'pipe'}", text, runs[name].parent)
    wide = printed(["report", str(runs[name]), "-v"], 200).stdout
    assert sorted(_words(text)) == sorted(_words(wide)) if width is None else _words(wide) <= _words(text)
    if width is not None:
        assert longest(text) <= width


def _words(text: str) -> set[str]:
    """Words and numbers, without rules and the marks of a list."""
    return {word for word in text.split() if word.strip("─")}


def test_jargon_is_nowhere(runs: dict[str, Path]) -> None:
    """What a company engineer would have to look up is in the glossary, not in a result."""
    for run in runs.values():
        text = printed(["report", str(run), "-v"], 120).stdout
        assert not JARGON.findall(text)
