"""What every test gets: a clean environment, so that a developer's shell cannot change results, and one thread."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Tests run one process per core; more threads would only fight over them. Set before numpy or torch is imported, and
# in the environment, so that child processes follow.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

# A job in the background of a shell starts with Ctrl-C ignored, and so do its children; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings

# Inspect patches `asyncio.run` for the whole process as it opens a model, and the patched one leaves loops open, for
# which a later test would be blamed. Here it does so within a running loop alone, where there is no other way.
with contextlib.suppress(ImportError):
    import nest_asyncio2

    def _nest(*given: Any, _apply: Any = nest_asyncio2.apply, _run: Any = asyncio.run, **named: Any) -> None:
        _apply(*given, **named)
        nested = asyncio.run
        asyncio.run = lambda *a, **k: (_run if asyncio._get_running_loop() is None else nested)(*a, **k)

    nest_asyncio2.apply = _nest

# Without its compiled modules the package takes a third longer to start, and tests start it many times.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No test ends with a power cut, the one thing that tells whether the disk was waited for; a process that is killed
# loses nothing that was written. Processes that tests start wait as ever.
os.fsync = os.fstat

# A busy machine is no fault of the code, and a run without changes must not fail; `--hypothesis-profile explore` looks
# for new examples.
settings.register_profile("offtarget", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("offtarget")

ROOT = Path(__file__).parents[1]

# Marks that few files carry, with the words by which a file that carries one is known, its imports not yet done.
RARE = {"long": r"mark\.long\b", "architectures": r"\barchitectures\b", "real": r"mark\.real\b|\breal_model\b"}
ONLY = {"(architectures or long) and not real": ("architectures", "long"), "real": ("real",)}
"""Selections of the Makefile that choose nothing without such a mark."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where rare marks alone are chosen, files without them are not imported: that takes each process half a minute."""
    rare = ONLY.get(config.option.markexpr)
    if rare is None or not collection_path.match("test_*.py"):
        return None
    return True if not re.search("|".join(RARE[mark] for mark in rare), collection_path.read_text("utf-8")) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[Any]:
    """What is imported stays, so nothing of it is sought to be freed: a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come first, then files with slow tests, so that small ones fill the end."""
    browser = {item.path for item in items if item.get_closest_marker("browser")}
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("long")}
    for item in items:
        for mark, words in RARE.items():
            if item.get_closest_marker(mark) and not re.search(words, item.path.read_text("utf-8")):
                raise pytest.UsageError(f"{item.path} must name the mark {mark} itself, or `make` leaves its tests out")
    items.sort(key=lambda item: (item.path not in browser, item.path not in slow))
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("long"):
            item.add_marker(pytest.mark.no_cover)  # counting lines doubles their time, and quicker tests have them all


@cache
def group_of(file: str) -> str:
    """What stays together under `-n`: a file with its fixtures, and all files of browser tests with their browsers."""
    return "browser" if "BROWSER_TEST" in (ROOT / file).read_text("utf-8") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests are dealt out in groups.

    Not by marks of xdist (`--dist loadgroup`): pytest-xdist 3.8 writes them into a part of the test's id that pytest
    9.2 does not read, so that every test went to whichever process was free, and each process made every fixture.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.partition("::")[0])

    return ByGroup(config, log)


_WORKERS: dict[str, set[str]] = {}
"""Groups, and the processes that ran their tests."""


def pytest_runtest_logreport(report: Any) -> None:
    """Under `-n`, in the process that deals out: who ran what."""
    if worker := getattr(report, "worker_id", ""):
        _WORKERS.setdefault(group_of(report.nodeid.partition("::")[0]), set()).add(worker)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Browsers go from file to file and end here; groups that were torn apart are an error, or nobody would see it."""
    if "browsing" in sys.modules:
        sys.modules["browsing"].end_browsers()
    if torn := [group for group, workers in _WORKERS.items() if len(workers) > 1]:
        sys.stderr.write(f"\nThe tests of {', '.join(torn)} ran in several processes.\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_frozen = 0
"""Modules there were when the garbage collector was last told to leave them alone."""


def pytest_runtest_teardown() -> None:
    """What was imported stays: the collector need not walk through all of PyTorch in every training."""
    global _frozen
    if len(sys.modules) > _frozen + 50:
        _frozen = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each test has a folder of its own for cache and state; one name more in it costs nothing to find."""
    return tmp_path_factory.mktemp("homes")


_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _clean_environment(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OFFTARGET_RUNS", "HF_TOKEN", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    own = _homes / str(next(_NUMBERS))
    monkeypatch.setenv("OFFTARGET_CACHE", str(own / "cache"))
    monkeypatch.setenv("OFFTARGET_STATE", str(own / "state"))


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A command that keeps Ctrl-C to itself after its end would hang a later test that presses it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    after = {number: signal.getsignal(number) for number in before}
    for number, action in before.items():
        signal.signal(number, action)
    assert after == before, "the test left signal handlers behind"


@pytest.fixture(scope="module")
def _cache_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("module-cache")


@pytest.fixture
def module_cache(_cache_of_the_module: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One cache for all tests of the module, so that a base is asked once: for tests that do not test the cache."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(_cache_of_the_module))
    return _cache_of_the_module


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout; the test skips, saying so, where it is absent."""
    folder = Path(__file__).parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}")
    return folder


@pytest.fixture
def shared_cases() -> Path:
    """The folder of inputs that once came out wrong, beside the checkout; the test skips, saying so, where absent."""
    folder = Path(__file__).parents[1] / ".." / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"the inputs that once came out wrong are not at {folder}")
    return folder
