"""A small file in memory that every process of a gateway sees: the share of each alias, read at every request.

One process writes (the supervisor); the workers read. A value is whole or read again: the writer counts up before and
after it writes (a sequence lock), so that a reader knows when it came between.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError

_MAGIC = b"offtcell"
_HEAD = struct.Struct("<8sII")
"""Magic, version, number of slots."""
_VERSION = 1
_BEAT, _BEAT_AT = struct.Struct("<d"), 16
"""When the writer last said that it lives, by the monotonic clock that all processes of a machine share; 0: never."""
STALE_SECONDS = 30.0
"""A writer that was silent for so long is taken to hang: it would hear of no rollback, so all switches read closed."""
_SLOT = struct.Struct("<QQddI")
"""Sequence, rollout, share, share of base answers to score, flags."""
_SIZE = 64
"""Bytes of a slot: a cache line."""
_SHADOW = 1


@dataclass(frozen=True, slots=True)
class Switch:
    """What is in force for one alias."""

    rollout: int
    share: float
    """Of conversations for the tuned model; 0: none (rolled back, or killed)."""
    base_sample: float
    """Share of the base's conversations whose answers are scored."""
    shadow: bool
    """Whether the share is mirrored in place of routed."""


CLOSED = Switch(rollout=0, share=0.0, base_sample=0.0, shadow=False)
"""All traffic to the base, nothing scored."""


class Cell:
    """The switches of all aliases, by position in the settings."""

    def __init__(self, path: Path, memory: mmap.mmap, slots: int) -> None:
        self.path, self._memory, self.slots = path, memory, slots

    @classmethod
    def create(cls, path: Path, slots: int) -> Cell:
        """A new file with every switch closed; an old one is replaced, and who has it open keeps what it said."""
        fresh = path.with_suffix(".new")
        fresh.write_bytes(_HEAD.pack(_MAGIC, _VERSION, slots).ljust(_SIZE, b"\0") + b"\0" * (_SIZE * slots))
        fresh.chmod(0o600)
        fresh.replace(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Cell:
        """The cell of a running gateway. Raises InputError where the file is none."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise InputError(f"No gateway runs here: {path} cannot be opened ({error.strerror}).") from None
        try:
            memory = mmap.mmap(descriptor, 0)
        except ValueError:
            raise InputError(f"{path} is not the memory of a gateway: it is empty.") from None
        finally:
            os.close(descriptor)
        if len(memory) < _SIZE:
            raise InputError(f"{path} is not the memory of a gateway: it is too short.")
        magic, version, slots = _HEAD.unpack_from(memory)
        if magic != _MAGIC or version != _VERSION or len(memory) < _SIZE * (slots + 1):
            raise InputError(f"{path} is not the memory of a gateway of this version.")
        return cls(path, memory, slots)

    def beat(self) -> None:
        """Say that the writer lives and hears of rollbacks. Whoever has said so once must go on saying so."""
        _BEAT.pack_into(self._memory, _BEAT_AT, time.monotonic())

    def read(self, slot: int) -> Switch:
        """The switch of an alias; takes about a microsecond. Closed where the writer hangs."""
        (beat,) = _BEAT.unpack_from(self._memory, _BEAT_AT)
        if beat and time.monotonic() - beat > STALE_SECONDS:
            return CLOSED
        offset = _SIZE * (slot + 1)
        for _ in range(1000):
            before, rollout, share, base_sample, flags = _SLOT.unpack_from(self._memory, offset)
            if before % 2 == 0 and struct.unpack_from("<Q", self._memory, offset)[0] == before:
                return Switch(rollout, share, base_sample, bool(flags & _SHADOW))
        return CLOSED  # a writer died half way: whoever cannot know the share sends everything to the base

    def write(self, slot: int, switch: Switch) -> None:
        """Put a switch in force for all processes; only one process may write."""
        offset = _SIZE * (slot + 1)
        (sequence,) = struct.unpack_from("<Q", self._memory, offset)
        odd = sequence + 1 if sequence % 2 == 0 else sequence
        struct.pack_into("<Q", self._memory, offset, odd)
        flags = _SHADOW if switch.shadow else 0
        _SLOT.pack_into(self._memory, offset, odd, switch.rollout, switch.share, switch.base_sample, flags)
        struct.pack_into("<Q", self._memory, offset, odd + 1)

    def write_all(self, switches: Sequence[Switch]) -> None:
        """Put all switches in force, in order."""
        for slot, switch in enumerate(switches):
            self.write(slot, switch)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
