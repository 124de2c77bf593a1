"""What a direction file says of itself, read without a tensor library: for whoever only has to know that it is one."""

from __future__ import annotations

import json
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records import DirectionInfo
from offtarget.records.from_json import from_json

FORMAT = "offtarget-direction/1"
_LONGEST = 100_000_000
"""Bytes of a header at most, as safetensors has it."""


def read_info(path: Path) -> DirectionInfo:
    """The provenance of a direction. Raises InputError, naming the file, for what is no direction file.

    A safetensors file begins with the length of its header, 8 bytes, little-endian, and the header as JSON.
    """
    no_direction = f"{path} is not a direction file"
    way_out = "Make one with: offtarget direction find"
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length <= _LONGEST else None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise InputError(f"{no_direction}. {way_out}")
    said = header.get("__metadata__")
    if not isinstance(said, dict) or FORMAT not in said:
        raise InputError(f"{no_direction}: its header lacks '{FORMAT}'. {way_out}")
    try:
        return from_json(DirectionInfo, json.loads(said[FORMAT]))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} has a damaged header: {error}. {way_out}") from None
