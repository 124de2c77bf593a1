"""Units of work on the workers of a Ray cluster; the only module that knows Ray, which it imports when it is used.

A worker has one core and one thread. What it does lies in folders that all machines share, so that a unit whose worker
or machine is lost is given to another, which goes on from there. The machine that gives out the units does none itself.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import platform
import shutil
import signal
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from offtarget.engines.holders import Holder, Holders, Setting
from offtarget.engines.units import Ended, Note, Tell, sendable
from offtarget.errors import InputError, PrerequisiteError
from offtarget.machine import usable_cores
from offtarget.records.engine import EngineSettings
from offtarget.version import __version__
from offtarget.words import joined

T = TypeVar("T")
V = TypeVar("V")
Work = Callable[[str, Tell], T]
"""Does the unit of that name. Defined at the top of a module, since it is found by its name where it is done."""

TRIES = 4
"""Workers that may end while they are at one unit, after which it is given up."""
LOOK_EVERY = 0.5
"""Seconds between two looks at how far the units are."""
STARTS = 4
"""Times that a cluster on this machine is started, of which Ray gives up each after half a minute."""
PATIENCE = 5.0
"""Seconds in which the head of a cluster must take a connection."""
AHEAD = 2
"""Units given out for each core, so that the next one is there when one ends."""
STORE = 100_000_000
"""Bytes of shared memory for objects of a cluster on this machine; what goes through it is a few kilobytes."""
PACKAGES = ("torch", "transformers", "peft")
"""Packages that answers of models depend on; the same everywhere, or not installed."""
PROGRESS = ".progress"
"""Folder of notes on how far units are, while they are being done."""


class Cluster(Generic[T]):
    """A cluster that this process is connected to, whose machines have the same versions as this one."""

    def __init__(self, ray: Any, settings: EngineSettings, packages: Sequence[str] = PACKAGES) -> None:
        self._ray, self._settings, self._packages = ray, settings, tuple(packages)

    def machines(self) -> list[dict[str, Any]]:
        """Those that can do work, as Ray describes them."""
        return [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]

    def check_folders(self, folders: Mapping[str, Path]) -> None:
        """InputError where a machine does not see one of these folders, each under what it is called in a sentence."""
        mark, marked = f".shared-{uuid.uuid4().hex}", {}
        try:
            for name, folder in folders.items():
                with contextlib.suppress(OSError):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / mark).touch()
                    marked[name] = str(folder / mark)
            for machine, seen in self._everywhere(_seen, tuple(marked.values())):
                for name, file in marked.items():
                    if file not in seen:
                        raise InputError(
                            f"{name}, {Path(file).parent}, is not to be seen on {machine}. Put it on a disk that all "
                            "machines of the cluster share under the same path."
                        )
        finally:
            for file in marked.values():
                Path(file).unlink(missing_ok=True)

    def check_versions(self) -> None:
        """InputError where a machine has other versions than this one: its results could be others, too."""
        here = versions(self._packages)
        for machine, there in self._everywhere(versions, self._packages):
            _refuse_others(here, there, machine)

    def run(
        self,
        work: Work[T],
        units: Iterable[str],
        *,
        notes: Path,
        environment: Mapping[str, str],
        memory: int = 0,
        gpu: bool = False,
        on_progress: Callable[[str, float, str], None],
    ) -> Iterator[Ended[T]]:
        """Every unit once it has ended, in the order in which they end; they are taken as there is room for more.

        `notes` is a folder that all machines share; `environment` is set where the work is done; `memory`, in bytes, is
        what a unit takes, by which Ray decides how many a machine does at a time; with `gpu` each has one of these, on
        a cluster that has any. A unit whose worker is lost is done by another, at most TRIES times.
        """
        folder = notes / PROGRESS
        do = self._ray.remote(**self._each(memory, gpu), max_retries=0)(_do)
        expected, where = versions(self._packages), str(Path.cwd())
        tries: Counter[str] = Counter()
        coming, again = iter(units), list[str]()
        running: dict[Any, str] = {}
        try:
            while True:
                room = self._room()
                while len(running) < room:
                    unit = again.pop(0) if again else next(coming, None)
                    if unit is None:
                        break
                    tries[unit] += 1
                    running[do.remote(work, unit, str(folder), where, dict(environment), expected)] = unit
                if not running:
                    return
                done, _ = self._ray.wait(list(running), timeout=LOOK_EVERY)
                for unit in running.values():
                    if (note := Note(folder, unit).read()) is not None:
                        on_progress(unit, *note)
                for one in done:
                    unit = running.pop(one)
                    ended = self._ended(one, unit)
                    Note(folder, unit).remove()
                    if ended.lost is not None and tries[unit] < TRIES:
                        on_progress(unit, 0.0, f"{ended.lost} Another one goes on with it")
                        again.append(unit)
                    else:
                        yield ended
        finally:
            for one in running:
                with contextlib.suppress(Exception):
                    self._ray.cancel(one, force=True)
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def holding(
        self,
        opened: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        *,
        environment: Mapping[str, str],
        memory: int = 0,
        gpu: bool = False,
        on_lost: Callable[[str], None],
    ) -> Iterator[Holders[Any, Any]]:
        """Workers that hold what `opened` gives and do parts of `work` with it, ended with the block.

        They begin to open it at once. `environment`, `memory` and `gpu` as in `run`, for each of them.
        """
        each = self._each(memory, gpu)
        actor = self._ray.remote(**each, max_restarts=0, max_task_retries=0)(Holder)
        begin = partial(_begin, str(Path.cwd()), dict(environment), versions(self._packages))
        room = int(self._ray.cluster_resources()["GPU"]) if "num_gpus" in each else self._cores()
        count = max(1, min(self._settings.workers or room, room))
        holders: Holders[Any, Any] = Holders(
            self._ray, actor, count, Setting(begin, opened, work), lambda one: self._ended(one, ""), on_lost
        )
        try:
            yield holders
        finally:
            holders.close()

    def _each(self, memory: int, gpu: bool) -> dict[str, Any]:
        """What a worker takes, as Ray is told: one core, memory as far as any machine has it, a GPU where one is."""
        most = max((node["Resources"].get("memory", 0) for node in self.machines()), default=0)
        resources: dict[str, Any] = {"num_cpus": 1, "memory": int(min(memory, most))}
        if gpu and self._ray.cluster_resources().get("GPU"):
            resources["num_gpus"] = 1
        return resources

    def _cores(self) -> int:
        return max(1, int(sum(node["Resources"]["CPU"] for node in self.machines())))

    def _room(self) -> int:
        """Units given out at a time: more than can be done, save where fewer workers are wanted than are there."""
        cores, wanted = self._cores(), self._settings.workers
        return wanted if wanted is not None and wanted < cores else AHEAD * cores

    def _ended(self, one: Any, unit: str) -> Ended[T]:
        errors = self._ray.exceptions
        try:
            ended: Ended[T] = self._ray.get(one)
        except errors.OutOfMemoryError:
            return Ended(unit, lost="Its worker was ended because the memory of its machine was full.")
        except errors.RayTaskError as error:
            first = (str(error.cause) or type(error.cause).__name__).splitlines()[0]
            return Ended(unit, error=InputError(f"A worker of the cluster could not begin its work: {first}"))
        except errors.RayError as error:
            which = "machine" if isinstance(error, errors.NodeDiedError) else "worker"
            return Ended(unit, lost=f"Its {which} was lost.")
        return ended

    def _everywhere(self, look: Callable[..., V], *given: Any) -> Iterator[tuple[str, V]]:
        """What is to be seen on each machine, by the machine's name."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task, asked = self._ray.remote(num_cpus=0, max_retries=2)(look), []
        for node in self.machines():
            on_it = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            asked.append((name, task.options(scheduling_strategy=on_it).remote(*given)))
        if not asked:
            raise InputError(
                "No machine of the cluster has a core for work. Join one with: ray start --address HOST:PORT"
            )
        for name, one in asked:
            try:
                yield name, self._ray.get(one)
            except self._ray.exceptions.RayError as error:
                said = str(error).strip().splitlines()[-1]
                raise InputError(
                    f"{name} of the cluster cannot do the work ({said}). Install offtarget there as it is here."
                ) from None


@contextmanager
def connected(settings: EngineSettings, packages: Sequence[str] = PACKAGES) -> Iterator[Cluster[Any]]:
    """A cluster that can be given work, let go of in the end; one of our own ends with this process, however that ends.

    `packages` are those that results depend on: every machine must have the same versions of them. Raises
    PrerequisiteError without Ray, and InputError for an address at which no cluster of these versions answers.
    """
    _refuse_address(settings.address)
    # what Ray does besides: reports on its use to its makers, and words on what is usual
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise PrerequisiteError.for_extra("ray", "ray", "--engine ray") from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if settings.address is None:
        cores = min(settings.workers or usable_cores(), usable_cores())
        quiet |= {"address": "local", "num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE}
    else:
        quiet |= {"address": settings.address}
    cluster: Cluster[Any] = Cluster(ray, settings, packages)
    if ray.is_initialized():  # by whoever called us, who ends it as well
        cluster.check_versions()
        yield cluster
        return
    try:
        with _own_signals(), _nothing_printed(ray):
            _start(ray, settings.address, quiet)
        cluster.check_versions()
        yield cluster
    finally:
        ray.shutdown()


def _start(ray: Any, address: str | None, how: Mapping[str, Any]) -> None:
    """Connect, and where the cluster is one of our own, try again: on a busy machine its processes start too slowly."""
    for left in reversed(range(1 if address else STARTS)):
        try:
            ray.init(**how)
        except Exception as error:  # of many kinds, by what went wrong inside
            ray.shutdown()
            if not left or "timed out" not in str(error):
                raise _no_cluster(address, error) from None
        else:
            return


@contextmanager
def _nothing_printed(ray: Any) -> Iterator[None]:
    """Ray writes to standard output when a worker is lost, whatever is asked of it; a result as JSON belongs there."""
    inside = ray._private.worker
    before = inside.listen_error_messages
    inside.listen_error_messages = lambda worker, stopped: None  # what its thread would do that is started now
    try:
        yield
    finally:
        inside.listen_error_messages = before


@contextmanager
def _own_signals() -> Iterator[None]:
    """What happens on Ctrl-C and on being told to end is as before: Ray sets a way of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, action in before.items():
                signal.signal(number, action)


def _refuse_address(address: str | None) -> None:
    """InputError for an address that nobody listens at, found in seconds; Ray itself looks for minutes."""
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise InputError(
            f"--address {address} is none of a Ray cluster. Give auto on a machine of the cluster, or HOST:PORT of its "
            "head, as `ray start --head` prints it."
        )
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise InputError(
            f"--address {address}: nobody takes a connection there ({reason}). Name the head of a cluster that "
            "runs, or leave out --address for workers on this machine alone."
        ) from None


def _no_cluster(address: str | None, error: Exception) -> InputError:
    said = str(error).partition("Traceback")[0].split()
    reason = f" ({' '.join(said)[:300].rstrip(' .')})" if said else ""
    if address is None:
        return InputError(f"Ray did not start on this machine{reason}. Try again, or leave out --engine.")
    if "Version mismatch" in str(error):
        return InputError(
            f"--address {address}: the cluster has another version of Ray or Python{reason}. Install the same on all "
            "machines."
        )
    if address == "auto":
        return InputError(
            "--address auto: no Ray cluster runs on this machine. Join one with `ray start`, or leave out --address "
            "for workers on this machine alone."
        )
    return InputError(f"--address {address}: no Ray cluster answers there{reason}. Name the head of one that runs.")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Of Python, of offtarget and of the packages that results depend on; None for what is not installed."""
    found: dict[str, str | None] = {"Python": platform.python_version(), "offtarget": __version__}
    for name in packages:
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _seen(files: Sequence[str]) -> list[str]:
    """Those of these files that are there."""
    return [file for file in files if Path(file).exists()]


def _refuse_others(here: Mapping[str, str | None], there: Mapping[str, str | None], machine: str) -> None:
    """InputError for versions that differ from those here."""
    other = [
        f"{name} {there.get(name) or 'not installed'} (here {version or 'not installed'})"
        for name, version in here.items()
        if there.get(name) != version
    ]
    if other:
        raise InputError(
            f"{machine} of the cluster has {joined(other)}. Install the same versions on all machines: the results "
            "would not be those of one machine."
        )


def _do(
    work: Work[T],
    unit: str,
    notes: str,
    folder: str,
    environment: Mapping[str, str],
    expected: Mapping[str, str | None],
) -> Ended[T]:
    """In a worker: one unit, in one thread, in the folder of the command; every error is sent back as a value."""
    try:
        _begin(folder, environment, expected)
        return Ended(unit, value=work(unit, Note(Path(notes), unit).tell))
    except Exception as error:
        return Ended(unit, error=sendable(error))


def _begin(folder: str, environment: Mapping[str, str], expected: Mapping[str, str | None]) -> None:
    """In a worker: the settings and the folder of the command, one thread. InputError for other versions than there."""
    _refuse_others(expected, versions(tuple(expected)), socket.gethostname())
    os.environ.update(environment)
    os.environ["OMP_NUM_THREADS"] = "1"
    with contextlib.suppress(OSError):  # only what is named by a path from here needs it, and says so
        os.chdir(folder)
