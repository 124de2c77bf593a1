"""Which of the optional packages are installed, by the package's own metadata: none of them is imported."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PACKAGE = "offtarget"
FOR: Mapping[str, str] = {
    "local": "models whose weights are here: check, tune, defences, direction, reproduce, alternatives, redteam",
    "remote": "models behind an address (openai/..., vllm/...), also as judges",
    "review": "pages in the browser: view, and people who read answers",
    "serve": "the gateway: serve, canary",
    "code": "the detector of insecure code in an audit",
    "parquet": "training data in Parquet files",
    "gguf": "models in GGUF files",
    "bench": "fixed benchmarks in a check",
    "inspect": "Inspect AI: its model names, and our tasks in it",
    "sign": "signed evidence",
    "postgres": "the store of several gateways",
    "redaction": "personal data taken out of kept traffic",
    "encryption": "kept traffic that is encrypted",
    "cloud": "training data in a bucket (s3://, gs://)",
    "ray": "many candidates side by side: check --tuned-dir --engine ray",
}
"""What each extra is for."""
TOLD = ("torch", "transformers", "peft", "trl", "numpy")
"""Packages that results may hang on, as `--version` tells them."""
_NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?$")


@dataclass(frozen=True, slots=True)
class Package:
    """One that an extra asks for."""

    name: str
    needed: str
    """Which versions: `>=2.4`."""
    installed: str | None
    """None where it is not."""
    fits: bool


@dataclass(frozen=True, slots=True)
class Extra:
    """Packages that are installed together."""

    name: str
    purpose: str
    packages: tuple[Package, ...]

    @property
    def ready(self) -> bool:
        """Whether all of it is installed."""
        return all(package.fits for package in self.packages)

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install '{PACKAGE}[{self.name}]'"

    @property
    def missing(self) -> str:
        """`torch, trl (0.9 is installed, >=1.16 is needed)`; empty where nothing is."""
        return ", ".join(
            package.name
            + (f" ({package.installed} is installed, {package.needed} is needed)" if package.installed else "")
            for package in self.packages
            if not package.fits
        )


def extras() -> tuple[Extra, ...]:
    """Every extra of the installed package that is for users; none where it was not installed by a package manager."""
    by_name: dict[str, list[Package]] = {name: [] for name in FOR}
    for name, needed, extra in _asked():
        if extra in by_name:
            installed = version_of(name)
            by_name[extra].append(Package(name, needed, installed, installed is not None and fits(installed, needed)))
    return tuple(Extra(name, FOR[name], tuple(found)) for name, found in by_name.items() if found)


def version_of(package: str) -> str | None:
    """The installed version, without importing it; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def fits(installed: str, needed: str) -> bool:
    """Whether a version is among those needed, by its numbers: `>=2.4,<3`; what is not understood is let pass."""
    have = _numbers(installed)
    for said in needed.split(","):
        match = re.match(r"\s*(>=|<=|<|>|==|!=)\s*([\d.]+)", said)
        if match is None or not have:
            continue
        want = _numbers(match[2])
        longest = max(len(have), len(want))
        a, b = ((*numbers, *([0] * (longest - len(numbers)))) for numbers in (have, want))
        right = {">=": a >= b, "<=": a <= b, "<": a < b, ">": a > b, "==": a == b, "!=": a != b}
        if not right[match[1]]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _asked() -> Iterator[tuple[str, str, str]]:
    """Name, versions and extra of every package that an extra asks for on this system."""
    try:
        lines = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        match = _NAME.match(line.strip())
        extra = None if match is None or match[3] is None else re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", match[3])
        if match is None or extra is None:
            continue
        if sys.platform == "win32" and re.search(r"sys_platform\s*!=\s*['\"]win32['\"]", match[3]):
            continue
        yield match[1], match[2].strip(), extra[1]
