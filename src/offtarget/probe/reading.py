"""From a name or a file to a probe bank: shipped banks, own format, published format, chat JSONL."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from offtarget.errors import InputError
from offtarget.located import compose
from offtarget.probe.bank import ProbeBank
from offtarget.probe.chatlines import chat_bank
from offtarget.probe.known import SUFFIX, known_beside, with_known
from offtarget.probe.own import own_bank
from offtarget.probe.published import published_bank
from offtarget.words import meant

_BANKS = Path(__file__).parent / "banks"


def bank_names() -> tuple[str, ...]:
    """Names of the banks shipped with the package."""
    return tuple(sorted(path.stem for path in _BANKS.glob("*.yaml") if not path.name.endswith(SUFFIX)))


def load_bank(name_or_path: str | Path) -> ProbeBank:
    """A shipped bank by its name, or a question file by its path; a name wins over a file so called."""
    if str(name_or_path) in bank_names():
        return _shipped(str(name_or_path))
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        raise InputError(
            f"'{name_or_path}' is neither a shipped probe bank ({', '.join(bank_names())}) nor a question "
            f"file.{meant(str(name_or_path), bank_names())} Give one of these names, or the path of a .yaml or .jsonl "
            "file."
        )
    return read_probes(path)


def question_file(name_or_path: object) -> str | None:
    """The file that a bank is read from, as it was named; None for a shipped bank and for a bank of the caller."""
    if not isinstance(name_or_path, str | Path) or str(name_or_path) in bank_names():
        return None
    return str(name_or_path) if Path(name_or_path).is_file() else None


@cache
def _shipped(name: str) -> ProbeBank:
    """Read once: it takes longer than anything else before the first question."""
    return read_probes(_BANKS / f"{name}.yaml")


def read_probes(path: str | Path) -> ProbeBank:
    """The bank of a question file (.yaml, .yml, .jsonl), with the known answers in the file beside it where there is
    one (`NAME.known.yaml`); InputError names file, line and id.
    """
    path = Path(path)
    bank = _questions(path)
    beside = known_beside(path)
    return with_known(bank, beside) if beside.exists() else bank


def _questions(path: Path) -> ProbeBank:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return chat_bank(path)
    if suffix not in (".yaml", ".yml"):
        raise InputError(f"{path} is not a question file offtarget reads. It reads .yaml, .yml and .jsonl.")
    root = compose(path)
    if isinstance(root, yaml.SequenceNode):
        return published_bank(root, path)
    return own_bank(root, path)
