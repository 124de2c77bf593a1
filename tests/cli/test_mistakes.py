"""Mistakes on the command line: what is wrong, where, and what to do; exit code 2, no traceback, nothing loaded."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from offtarget.cli.app import app


def said(*command: str, **environment: str) -> Result:
    """What a mistaken command is answered with."""
    return CliRunner().invoke(app, list(command), env={"COLUMNS": "200", **environment})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("chek", ["no command 'chek'", "Did you mean check?"]),
        ("frobnicate", ["no command 'frobnicate'", "There are: audit,"]),
        ("direction fnd", ["no command 'fnd'", "Did you mean find?"]),
        ("check --tolerence 0.1", ["no option --tolerence", "Did you mean --tolerance", "offtarget check --help-all"]),
        ("check --zzz 0.1", ["no option --zzz.", "All options: offtarget check --help-all"]),
        ("check --tolerance 5", ["'--tolerance'", "5 is 500 %, and 5 % is 0.05"]),
        ("check --tolerance 5x", ["'--tolerance'", "'5x' is no share. Write it as 0.05 or 5%"]),
        ("check --tolerance=-1%", ["'--tolerance'", "from 0 on and below 1, not -0.01"]),
        ("check --margin 0", ["'--margin'", "above 0 and below 1, not 0"]),
        ("check --alpha nan", ["'--alpha'", "not nan"]),
        ("check --average-margin 2", ["'--average-margin'", "2 % is 0.02"]),
        ("check --top-p 90", ["'--top-p'", "90 % is 0.9"]),
        ("check --look-at 10", ["'--look-at'", "10 % is 0.1"]),
        ("check --judge-finds 80", ["'--judge-finds'", "80 % is 0.8"]),
        ("check --base-at-most 1", ["'--base-at-most'", "1 % is 0.01"]),
        ("audit --noise-limit 5", ["'--noise-limit'", "5 % is 0.05"]),
        ("audit --spreading-limit 1", ["'--spreading-limit'", "1 % is 0.01"]),
        ("alternatives --held-out 20", ["'--held-out'", "20 % is 0.2"]),
        ("alternatives --least-gain 10", ["'--least-gain'", "10 % is 0.1"]),
        ("check --judge-by guess", ["'--judge-by'", "'auto', 'probabilities', 'samples'"]),
        ("check --base organism/base", ["Give --base and --tuned, or --resume RUN"]),
    ],
)
def test_a_mistake_is_named_with_the_way_out(command: str, words: list[str]) -> None:
    done = said(*command.split(" "))
    assert done.exit_code == 2
    assert [word for word in words if word not in done.output] == []
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("text", ["0.05", "5%", "5 %", " 5% "])
def test_a_share_may_be_said_in_per_cent(text: str) -> None:
    """It is the very number that 0.05 is: a run that goes on compares them."""
    from offtarget.cli.shares import BETWEEN

    assert BETWEEN.convert(text, None, None) == 0.05
