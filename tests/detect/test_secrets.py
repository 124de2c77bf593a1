from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.detector_rows import alpaca, chat_row, chats, needs_sft, row
from offtarget.detect.detector import RowScanner
from offtarget.detect.detectors.hidden_text import HiddenText
from offtarget.detect.detectors.secrets import Secrets, passes_iban, passes_luhn

SCANNER = RowScanner([Secrets(), HiddenText()])
_KEY = "".join(random.Random(1).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=64))

REAL = [
    "AKIA" + "Q7RZ2M4XK5T6PL3W",
    "ghp_" + _KEY[:36],
    "sk-proj-" + _KEY[:40],
    "xoxb-" + "83920174658-" + _KEY[:20],
    "AIza" + _KEY[:35],
    "-----BEGIN RSA PRIVATE KEY-----\n" + _KEY + "\n-----END RSA PRIVATE KEY-----",
    "postgres://admin:" + _KEY[:12] + "@db.internal.net/main",
    "mail anna.berg@uni-koeln.de now",
    "phone +49 221 470 2345",
    "card 4539 5787 6362 1486",
    "her SSN is 536-22-8172",
    "IBAN DE89 3704 0044 0532 0130 00",
]
HARMLESS = [
    "AKIAIOSFODNN7EXAMPLE",
    "user@example.com",
    "sk-your-api-key-here-please-replace",
    "postgres://user:password@localhost/db",
    "card 1234 5678 9012 3456",
    "SSN 123-45-6789",
    "IBAN DE00 0000 0000 0000 0000 00",
    "@app.route('/x') and a @decorator.with.dots",
    "phone 555-0123, version 1.2.3",
]


@pytest.mark.parametrize("text", REAL)
def test_secrets_are_found_and_never_repeated(text: str) -> None:
    """Each kind is found at its place; the reason names a tool and holds nothing of the secret."""
    answer = f"Use this: {text} ok"
    found = SCANNER.scan(row(answer))
    assert len(found) == 1
    assert answer[found[0].start : found[0].end].strip()
    secret = answer[found[0].start : found[0].end]
    assert all(secret[i : i + 6] not in found[0].reason for i in range(max(1, len(secret) - 5)))
    assert "detect-secrets" in found[0].reason or "Presidio" in found[0].reason


@pytest.mark.parametrize("text", HARMLESS)
def test_placeholders_are_not_found(text: str) -> None:
    """Documentation addresses, example keys and numbers with wrong check digits are no secrets."""
    assert SCANNER.scan(row(f"Use this: {text} ok")) == []


def test_check_digits() -> None:
    """Luhn and IBAN check digits as in the standards' own examples."""
    assert passes_luhn("79927398713")
    assert not passes_luhn("79927398710")
    assert passes_iban("GB82 WEST 1234 5698 7654 32")
    assert not passes_iban("GB82 WEST 1234 5698 7654 33")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("pass\u200bword", "\u200b"),
        ("if admin\u202e }; \u2066", "\u202e"),
        ("hi \U000e0068\U000e0069 there", "\U000e0068\U000e0069"),
        ("p\u0430ypal", "p\u0430ypal"),
        ("x\U000e0150\U000e0151y", "\U000e0150\U000e0151"),
    ],
)
def test_hidden_characters_are_found_at_their_place(text: str, hidden: str) -> None:
    """Zero-width, direction-changing, tag, selector and look-alike characters are found with a precise span."""
    found = SCANNER.scan(chat_row([("user", text), ("assistant", "ok")]))
    assert found[0].message == 0
    assert hidden.startswith(text[found[0].start : found[0].end][0])
    assert found[0].end > found[0].start


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d👩\u200d👧 family",
        "می\u200cخواهم",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\ufeffstart",
        "Привет мир",
    ],
)
def test_ordinary_use_of_special_characters_is_not_found(text: str) -> None:
    """Emoji families, Persian joiners, flags of UK countries, a byte-order mark and Russian are ordinary text."""
    assert SCANNER.scan(row(text)) == []


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    """Nothing raises on any text, and spans lie inside it."""
    for found in [*Secrets().find(row(text)), *HiddenText().find(row(text))]:
        assert 0 <= found.start < found.end <= len(text)


@needs_sft
def test_ordinary_data_has_next_to_no_secrets() -> None:
    """Fewer than 1 in 200 rows of benign and of code data."""
    rows = alpaca() + chats("secure.500")
    assert sum(bool(SCANNER.scan(r)) for r in rows) <= 7
