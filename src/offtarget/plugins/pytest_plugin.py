"""The pytest plugin: imported by every pytest that runs where offtarget is installed, so nothing of it is at the top.

`pytest --offtarget-base B --offtarget-tuned T` hands two models to the tests that use the fixtures below; where no
test does, one item is added that checks them, so that nobody reads an empty green run as a PASS.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from offtarget.plugins import chosen
from offtarget.plugins.chosen import Chosen

if TYPE_CHECKING:
    from offtarget.workflows.check.check import CheckResult

FIXTURES = frozenset({"offtarget_base", "offtarget_tuned", "offtarget_check"})
_OPTIONS = {
    "base": ("MODEL", "The model before fine-tuning, e.g. hf/./base; for the fixture offtarget_base."),
    "tuned": ("MODEL", "The model after fine-tuning, e.g. hf/./base+./adapter; for the fixture offtarget_tuned."),
    "judge": ("MODEL", "Who judges, where a test names nobody."),
    "max-answers": ("COUNT", "Tuned answers after which a check gives up, where a test says no number."),
    "undecided": ("WHAT", "What an UNDECIDED check does to its test: fail (the default), or skip."),
}
"""By name, each also a setting of the ini file (`offtarget_base`): what it takes, and what it is."""


_KEY = pytest.StashKey["Chosen | None"]()
_LEFT_OUT = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, and settings of the ini file with the same names."""
    group = parser.getgroup("offtarget", "offtarget: is the tuned model worse than its base?")
    for name, (metavar, said) in _OPTIONS.items():
        group.addoption(f"--offtarget-{name}", metavar=metavar, default=None, help=said)
        parser.addini(_ini(name), f"{said} --offtarget-{name} goes before it.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Read what was said; UsageError for what cannot be meant."""
    config.addinivalue_line("markers", "offtarget: asks models; -m 'not offtarget' leaves it out")
    keys = {name: _ini(name) for name in _OPTIONS}
    said: dict[str, Any] = {name: config.getoption(key) or config.getini(key) or None for name, key in keys.items()}
    if config.getoption("offtarget_base") and said["tuned"] is None:
        raise pytest.UsageError("--offtarget-base names a model to be held against: name the other, --offtarget-tuned.")
    if config.getoption("offtarget_tuned") and said["base"] is None:
        raise pytest.UsageError("--offtarget-tuned is held against its base: name that, --offtarget-base.")
    undecided: Any = said["undecided"] or "fail"
    if undecided not in ("fail", "skip"):
        raise pytest.UsageError(f"--offtarget-undecided is fail or skip, not {undecided!r}.")
    most = said["max-answers"]
    if most is not None and not (most.isdecimal() and int(most)):
        raise pytest.UsageError(f"--offtarget-max-answers takes a whole number of at least 1, not {most!r}.")
    runs = Path(os.environ.get("OFFTARGET_RUNS") or config.rootpath / "runs")
    config.stash[_KEY] = chosen.now  # of a pytest that runs around this one
    chosen.now = Chosen(said["base"], said["tuned"], said["judge"], int(most) if most else None, undecided, runs)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget it."""
    chosen.now = config.stash.get(_KEY, None)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which models, where both are named."""
    now = chosen.now
    return f"offtarget: {now.tuned}, held against {now.base}" if now and now.base and now.tuned else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Mark what asks models; add the check that was asked for where no test makes it. Before `-k` and `-m` choose."""
    asks = [item for item in items if _asks(item)]
    for item in asks:
        item.add_marker("offtarget")
    asked_for = session.config.getoption("offtarget_base") or session.config.getoption("offtarget_tuned")
    held = any("offtarget_tuned" in getattr(item, "fixturenames", ()) for item in asks)  # others ask other models
    if asked_for and not held:
        item = CheckItem.from_parent(session, name="offtarget: tuned is not worse than base")
        item.add_marker("offtarget")
        items.append(item)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember where the check that was asked for is not made."""
    for item in items:
        if isinstance(item, CheckItem):
            item.config.stash[_LEFT_OUT] = True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say that it was not."""
    if config.stash.get(_LEFT_OUT, False):
        terminalreporter.write_line(
            "offtarget: -k or -m left out the check of the two models: nothing is known of them."
        )


def _asks(item: pytest.Item) -> bool:
    used: Iterable[str] = getattr(item, "fixturenames", ())
    return not FIXTURES.isdisjoint(used) or item.get_closest_marker("offtarget") is not None


class CheckItem(pytest.Item):
    """The check that the command line asks for, where no test makes it."""

    def runtest(self) -> None:
        """Check, and fail or skip as the verdict says."""
        from offtarget.plugins.aligned import assert_aligned

        assert_aligned(_named("base"), _named("tuned"))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The verdict, or what is wrong with what was given, without our own lines of code."""
        from offtarget.errors import OfftargetError

        if isinstance(excinfo.value, AssertionError | OfftargetError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """What it is called."""
        return self.path, None, self.name


@pytest.fixture(scope="session")
def offtarget_base() -> str:
    """The model before fine-tuning, as `--offtarget-base` or the ini file name it; skips where nobody does."""
    return _named("base")


@pytest.fixture(scope="session")
def offtarget_tuned() -> str:
    """The model after fine-tuning, as `--offtarget-tuned` or the ini file name it; skips where nobody does."""
    return _named("tuned")


@pytest.fixture(scope="session")
def offtarget_check(offtarget_base: str, offtarget_tuned: str, tmp_path_factory: pytest.TempPathFactory) -> CheckResult:
    """The check of these two models, made once for all tests, also those of other xdist workers.

    `assert_aligned(offtarget_check)` fails where it is no PASS.
    """
    from offtarget.plugins.aligned import checked_once

    worker = os.environ.get("PYTEST_XDIST_WORKER")
    base = tmp_path_factory.getbasetemp()
    return checked_once(offtarget_base, offtarget_tuned, base.parent if worker else base)


def _named(which: Literal["base", "tuned"]) -> str:
    name = None if chosen.now is None else getattr(chosen.now, which)
    if name is None:
        pytest.skip(f"no model to ask: pytest --offtarget-{which} MODEL, or offtarget_{which} in the ini file")
    return str(name)


def _ini(name: str) -> str:
    return "offtarget_" + name.replace("-", "_")
