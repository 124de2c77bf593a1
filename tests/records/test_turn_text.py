"""A turn made the short way is the same turn."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, replace

from offtarget.records import Message
from offtarget.records.answers import ToolCall, message_json, plain_turn
from offtarget.rundir import to_jsonable


def test_a_turn_made_the_short_way_is_the_same_turn() -> None:
    """Equal, of one hash, and the same in JSON, in a pickle, copied and changed."""
    calls = (ToolCall("f", "{}"),)
    for short, whole in (
        (plain_turn("user", "Q"), Message("user", "Q")),
        (plain_turn("assistant", "", calls=calls), Message("assistant", "", calls=calls)),
        (plain_turn("tool", "4", tool="f", call_id="c"), Message("tool", "4", tool="f", call_id="c")),
    ):
        assert short == whole
        assert hash(short) == hash(whole)
        assert (asdict(short), to_jsonable(short), message_json(short)) == (
            asdict(whole),
            to_jsonable(whole),
            message_json(whole),
        )
        assert pickle.loads(pickle.dumps(short)) == copy.deepcopy(short) == whole
        assert replace(short, reasoning="T") == replace(whole, reasoning="T")
        assert short.text == whole.text
