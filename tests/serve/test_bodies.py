"""Kept requests and answers: what must not be known is out, also in pieces of a stream, and it never takes long."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import an_exchange

from offtarget.errors import InputError
from offtarget.records.gateway import StateSettings
from offtarget.redaction import MARK, NotRedacted, Redactor
from offtarget.serve.store.bodies import KEPT_BYTES, READ_BYTES, BodyKeeper
from offtarget.serve.store.opening import open_store

MAIL = r"[\w.+-]+@[\w-]+\.[\w.]+"
CARD = r"\b\d{4}-\d{4}-\d{4}-\d{4}\b"

pytest.importorskip("regex", reason="regex is not installed: pip install 'offtarget[redaction]'")


def sse(*events: object) -> bytes:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"


def chunk(content: str, index: int = 0) -> object:
    return {"id": "c-1", "choices": [{"index": index, "delta": {"content": content}}]}


def contents(stream: bytes, index: int = 0) -> str:
    events = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"]["content"] for choice in choices)


def test_matches_are_replaced_inside_the_strings_of_a_body_also_where_json_writes_them_otherwise() -> None:
    body = rb'{"messages": [{"content": "Write to ada\u0040example.org, or \"bob@example.org\"."}], "n": 1}'
    redacted = json.loads(Redactor([MAIL]).body(body))
    assert redacted == {"messages": [{"content": f'Write to {MARK}, or "{MARK}".'}], "n": 1}


def test_what_no_expression_matches_is_kept_byte_for_byte_without_expressions() -> None:
    body = b'{"a":  1.10, "b": "\xff"}'
    assert Redactor().body(body) == body


def test_a_match_that_begins_in_one_piece_of_a_stream_and_ends_in_another_is_taken_out() -> None:
    stream = sse(chunk("Write to ad"), chunk("a@exa"), chunk("mple.o"), chunk("rg today"), chunk("bye", 1))
    redacted = Redactor([MAIL]).body(stream)
    assert contents(redacted) == f"Write to {MARK} today"
    assert contents(redacted, 1) == "bye"
    assert redacted.endswith(b"data: [DONE]\n\n")


def test_choices_and_tool_calls_of_a_stream_are_put_together_each_by_itself() -> None:
    def call(position: int, arguments: str) -> object:
        return {
            "choices": [
                {"index": 0, "delta": {"tool_calls": [{"index": position, "function": {"arguments": arguments}}]}}
            ]
        }

    stream = sse(call(0, "4111-1111"), call(1, "no"), call(0, "-1111-1111"), call(1, "thing"))
    redacted = Redactor([CARD]).body(stream).decode()
    assert "1111" not in redacted
    assert '"no"' in redacted
    assert '"thing"' in redacted


def test_streams_of_the_responses_endpoint_are_put_together_too() -> None:
    def delta(text: str) -> object:
        return {
            "type": "response.output_text.delta",
            "item_id": "i1",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
        }

    stream = sse(delta("ada@ex"), {"type": "response.in_progress", "delta": "x"}, delta("ample.org"))
    assert b"ample" not in Redactor([MAIL]).body(stream)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab@. -41", max_size=40), st.lists(st.integers(1, 6), min_size=40, max_size=40))
def test_however_a_stream_is_cut_nothing_that_matches_is_left(text: str, sizes: list[int]) -> None:
    import regex

    pieces, rest = [], f"{text} ada@example.org {text}"
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    redacted = contents(Redactor([MAIL]).body(sse(*(chunk(piece) for piece in [*pieces, rest]))))
    assert MARK in redacted
    assert regex.search(MAIL, redacted) is None


@given(st.binary(max_size=300))
def test_no_body_breaks_redaction(body: bytes) -> None:
    redactor = Redactor([MAIL, CARD])
    assert isinstance(redactor.body(body), bytes)
    assert isinstance(redactor.body(b"data: " + body + b"\ndata: {"), bytes)


def test_what_is_no_json_is_redacted_as_text() -> None:
    assert Redactor([MAIL]).body(b"{half ada@example.org") == f"{{half {MARK}".encode()


def test_an_expression_that_runs_away_is_stopped_and_its_text_neither_kept_nor_shown() -> None:
    redactor = Redactor([r"(\w+\s?)+$"], seconds=0.2)
    hostile = "a" * 5000 + "!"
    began = time.monotonic()
    with pytest.raises(NotRedacted):
        redactor.text(hostile)
    kept = BodyKeeper(redactor).unpack(
        BodyKeeper(redactor).pack(an_exchange(request=b"[]", response=hostile.encode())), "x-1"
    )
    assert time.monotonic() - began < 20  # it would take longer than anybody lives
    assert kept == (
        b"[]",
        b"",
        "The answer is not kept: an expression of state.redact took too long on it.",
    )


def test_the_time_is_for_a_whole_body_and_not_for_each_string_of_it() -> None:
    strings = ["a" * 100 + "!"] * 1000
    began = time.monotonic()
    for body in (json.dumps(strings).encode(), sse(*(chunk(text) for text in strings))):
        with pytest.raises(NotRedacted):
            Redactor([r"(\w+\s?)+$"], seconds=0.1).body(body)
    assert time.monotonic() - began < 20  # 200 s and more, were it for each


def test_long_bodies_are_cut_after_redaction_and_huge_ones_are_not_kept() -> None:
    keeper = BodyKeeper(Redactor([MAIL]))
    long = (b"word " * KEPT_BYTES)[: KEPT_BYTES - 4] + b" ada@example.org"
    request, response, note = keeper.unpack(
        keeper.pack(an_exchange(request=b"y" * (READ_BYTES + 1), response=long)), "x"
    )
    assert request == b""
    assert len(response) == KEPT_BYTES
    assert b"ada" not in response
    assert note == (
        f"The request is not kept: it has {READ_BYTES + 1} bytes. "
        f"The answer is cut: {KEPT_BYTES} of {KEPT_BYTES + 7} bytes are kept."
    )
    assert "was cut while" in keeper.unpack(keeper.pack(an_exchange(cut=True)), "x")[2]


def test_encrypted_bodies_are_in_no_file_and_open_with_their_key_alone(tmp_path: Path) -> None:
    fernet = pytest.importorskip("cryptography.fernet", reason="cryptography is not installed")
    url, key = f"sqlite:{tmp_path / 's.sqlite'}", fernet.Fernet.generate_key().decode()
    store = open_store(StateSettings(url, encryption_key=key))
    store.keep_bodies(an_exchange(request=b"A very secret request", response=b"A very secret answer"))
    kept = store.bodies("x-1")
    assert kept is not None
    assert (kept.request, kept.response) == (b"A very secret request", b"A very secret answer")
    store.close()
    for other, words in (
        ("", "is encrypted: give its key"),
        (fernet.Fernet.generate_key().decode(), "with another key"),
    ):
        store = open_store(StateSettings(url, encryption_key=other))
        with pytest.raises(InputError, match=words):
            store.bodies("x-1")
        store.close()
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        ((packed,),) = connection.execute("SELECT packed FROM offtarget_bodies").fetchall()
    connection.close()
    assert bytes(packed[:1]) == b"F"


def test_deleted_bodies_are_in_no_file_any_more(tmp_path: Path) -> None:
    store = open_store(StateSettings(f"sqlite:{tmp_path / 's.sqlite'}"))
    store.keep_bodies(an_exchange())
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        ((packed,),) = connection.execute("SELECT packed FROM offtarget_bodies").fetchall()
    connection.close()
    assert store.forget(time.time() + 10).bodies == 1
    assert all(bytes(packed) not in file.read_bytes() for file in tmp_path.iterdir())
    store.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"redact": ("ok", "(")}, r"Expression 2 of state\.redact is no regular expression: .*Pattern: \("),
        ({"encryption_key": "short"}, r"state\.encryption_key is no key of Fernet"),
    ],
)
def test_settings_that_are_none_are_refused_in_a_sentence(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        open_store(StateSettings(f"sqlite:{tmp_path / 's.sqlite'}", **changes))  # type: ignore[arg-type]
    assert not (tmp_path / "s.sqlite").exists()
