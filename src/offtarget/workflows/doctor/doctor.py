"""What is here, and whether something that was asked for can be done. Nothing is opened, asked or written."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.cache import cache_root
from offtarget.errors import InputError, OfftargetError
from offtarget.machine import free_memory, sees_gpu, usable_cores
from offtarget.models.endpoints import ENDPOINTS_ENV, endpoint_of, own_folders
from offtarget.models.names import InspectName, RemoteName, is_path
from offtarget.models.remote import address_and_key
from offtarget.numbers import file_size
from offtarget.records.check import CheckSettings
from offtarget.records.rated import PEOPLE
from offtarget.rundir import runs_root
from offtarget.version import __version__
from offtarget.workflows.doctor.packages import Extra, extras
from offtarget.workflows.ground import EXACT_JUDGE, parsed
from offtarget.workflows.planning import plan_check
from offtarget.workflows.ready import ready

NEEDS: dict[str, tuple[str, ...]] = {
    "tune": ("local",),
    "defences": ("local",),
    "direction": ("local",),
    "organism": ("local",),
    "reproduce": ("local",),
    "serve": ("serve",),
    "canary": ("serve",),
    "view": ("review",),
}
"""By verb, the extras without which it cannot be used at all; what its models need comes on top."""
SERVICES = ("OPENAI", "VLLM")
"""Services whose variables are always told; further ones where a variable of theirs is set."""
_VARIABLE = re.compile(r"([A-Z][A-Z0-9_]*)_(API_KEY|BASE_URL)")
_SLOW = 10.0
"""Seconds that the driver of a GPU may take to say what there is."""
LITTLE = 1_000_000_000
"""Bytes of a disk below which a run may not be kept whole."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Room where something is kept."""

    what: str
    place: str
    free: int | None
    """Bytes; None where that cannot be seen."""
    writable: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment; its value is never told."""

    name: str
    set: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was asked for, and whether it is there."""

    what: str
    """`hf/./base`, `the extra local`."""
    ok: bool
    said: str
    """Why not, and what to do; or what was found."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is here."""

    version: str
    python: str
    system: str
    extras: tuple[Extra, ...]
    cores: int
    memory: int | None
    """Free bytes; None where the system does not say."""
    gpus: tuple[str, ...]
    """One line each, as the driver has them; empty where none is seen."""
    disks: tuple[Disk, ...]
    variables: tuple[Variable, ...]
    asked: tuple[Finding, ...] = ()
    estimate: str = ""
    """How long a check takes here: that of the organism where no other was asked for."""

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is there."""
        return all(finding.ok for finding in self.asked)


def doctor(
    verb: str | None = None,
    *,
    base: str | None = None,
    tuned: str | None = None,
    judge: str | None = None,
    probes: str | None = None,
    connect: bool = False,
) -> Diagnosis:
    """Look at what is installed and what the machine offers, and whether a verb with these models could begin.

    `connect`: whether servers are tried, by opening a connection and nothing more.
    """
    found = extras()
    asked = list(_asked_for(verb, {"base": base, "tuned": tuned, "judge": judge}, found, connect))
    estimate = ""
    if all(finding.ok for finding in asked):
        estimate = _estimate(base, tuned, judge, probes, connect)
    return Diagnosis(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        extras=found,
        cores=usable_cores(),
        memory=free_memory(),
        gpus=gpus(),
        disks=(_disk("runs", runs_root().absolute()), _disk("cache", cache_root())),
        variables=variables(),
        asked=tuple(asked),
        estimate=estimate,
    )


def gpus() -> tuple[str, ...]:
    """GPUs as NVIDIA's driver has them: `NVIDIA H200, 143 GB, 139 GB free`."""
    if not sees_gpu():
        return ()
    program = shutil.which("nvidia-smi")
    if program is None:
        return ("an NVIDIA GPU; nvidia-smi is not there to say which",)
    query = [program, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=_SLOW, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ("an NVIDIA GPU whose driver does not answer",)
    found = []
    for line in said.splitlines():
        name, *sizes = (part.strip() for part in line.split(","))
        room = [file_size(int(size) * 1_048_576) for size in sizes if size.isdigit()]
        found.append(", ".join([name, *([room[0], f"{room[1]} free"] if len(room) == 2 else [])]))
    return tuple(found)


def variables() -> tuple[Variable, ...]:
    """Variables that say where servers are and with which keys, set or not."""
    services = [*SERVICES, *sorted({m[1] for name in os.environ if (m := _VARIABLE.fullmatch(name))} - {*SERVICES})]
    names = [f"{service}_{kind}" for service in services for kind in ("API_KEY", "BASE_URL")]
    names = [n for n in names if n in os.environ or n.startswith(tuple(f"{service}_" for service in SERVICES))]
    return tuple(Variable(name, bool(os.environ.get(name))) for name in [*names, ENDPOINTS_ENV, "HF_TOKEN", "HF_HOME"])


def _disk(what: str, place: Path) -> Disk:
    there = next((folder for folder in (place, *place.absolute().parents) if folder.exists()), Path("/"))
    try:
        free: int | None = shutil.disk_usage(there).free
    except OSError:
        free = None
    return Disk(what, str(place), free, os.access(there, os.W_OK | os.X_OK))


def _asked_for(
    verb: str | None, models: dict[str, str | None], found: Sequence[Extra], connect: bool
) -> Iterable[Finding]:
    """What a verb with these models needs, and whether it is there."""
    by_name = {extra.name: extra for extra in found}
    needed = dict.fromkeys(NEEDS.get(verb or "", ()))
    for name in dict.fromkeys(filter(None, models.values())):
        try:
            needed |= dict.fromkeys(_extras_of(name))
        except InputError:
            continue  # said below, where the model itself is looked at
    for name in needed:
        if name not in by_name:
            yield Finding(f"the extra {name}", False, "Install offtarget with pip to have its packages looked up.")
        else:
            extra = by_name[name]
            yield Finding(
                f"the extra {name}", extra.ready, "installed" if extra.ready else f"{extra.missing}: {extra.install}"
            )
    for option, model in models.items():
        if model is not None:
            yield _model(option, model, connect)


def _extras_of(model: str) -> tuple[str, ...]:
    """What is needed to open a model."""
    if model in (PEOPLE, EXACT_JUDGE):
        return ("review",) if model == PEOPLE else ()
    name = parsed(model)
    if isinstance(name, RemoteName):
        return ("inspect",) if isinstance(name, InspectName) else ("remote",)
    return ("local", "gguf") if name.base.place.endswith(".gguf") else ("local",)


def _model(option: str, model: str, connect: bool) -> Finding:
    """Whether a model can be opened, as far as that is seen without opening it."""
    what = f"--{option} {model}"
    if model in (PEOPLE, EXACT_JUDGE):
        return Finding(what, True, "needs no model")
    try:
        name = parsed(model)
        if isinstance(name, InspectName) and not connect:
            return Finding(what, True, "is asked through Inspect AI; not tried: say --connect")
        if isinstance(name, RemoteName) and not connect and own_folders(name, None) is None:
            address, _ = address_and_key(name, endpoint_of(name))
            return Finding(what, True, f"address {'set' if address else 'the usual one'}; not tried: say --connect")
        if option == "judge":
            ready(judges=(model,), keeps_run=False)
        else:
            ready(model, keeps_run=False)
    except OfftargetError as error:
        return Finding(what, False, str(error))
    if isinstance(name, RemoteName):
        return Finding(what, True, "a server takes connections there")
    at_hand = is_path(name.base.place)
    return Finding(what, True, "weights are here" if at_hand else "is fetched from the hub when it is first used")


def _estimate(base: str | None, tuned: str | None, judge: str | None, probes: str | None, connect: bool) -> str:
    """How long a check takes here; empty where that cannot be said."""
    if base is None and tuned is not None:
        return ""
    before, after = (base or "organism/base"), (tuned or (base and f"{base}") or "organism/insecure")
    settings = CheckSettings(same_weights=before == after)
    try:
        names = [parsed(one) for one in (before, after, judge) if one not in (None, PEOPLE, EXACT_JUDGE) and one]
        if not connect and any(isinstance(name, RemoteName) for name in names):
            return ""
        plan = plan_check(before, after, judge=judge, probes=probes, settings=settings)
    except OfftargetError:
        return ""
    if base is None:
        plan = replace(plan, memory=None)
    about = before if before == after or (base is not None and tuned is None) else f"{before} and {after}"
    return f"a check of {about}: {plan.time}" + (f"; {plan.room} of memory" if plan.room else "")
