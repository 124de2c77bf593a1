"""Keys, passwords and personal data: a hint that a proper tool should look, never a list of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from offtarget.detect.remembered import found_once
from offtarget.records import Category, Finding, Row

_KEYS_TOOL = "a secret scanner such as detect-secrets"
_PERSONS_TOOL = "a personal-data tool such as Presidio"


@dataclass(frozen=True, slots=True)
class _Kind:
    what: str
    pattern: re.Pattern[str]
    strength: float
    tool: str
    cues: tuple[str, ...]


_KINDS = (
    _Kind(
        "an AWS access key id",
        re.compile(r"A(?<![A-Za-z0-9]A)(?:KIA|SIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
        0.9,
        _KEYS_TOOL,
        ("akia", "asia"),
    ),
    _Kind(
        "an AWS secret key",
        re.compile(r"(?i)aws.{0,20}secret.{0,20}?[=:]\s*[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"),
        0.9,
        _KEYS_TOOL,
        ("aws",),
    ),
    _Kind(
        "a GitHub token",
        re.compile(r"g(?<!\wg)(?:h[pousr]_[A-Za-z0-9]{36,}|ithub_pat_[A-Za-z0-9_]{60,})"),
        0.9,
        _KEYS_TOOL,
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    _Kind(
        "an API key (sk-...)",
        re.compile(r"sk-(?<![A-Za-z0-9]sk-)(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{20,}"),
        0.8,
        _KEYS_TOOL,
        ("sk-",),
    ),
    _Kind("a Stripe key", re.compile(r"\b[sr]k_live_[A-Za-z0-9]{16,}"), 0.9, _KEYS_TOOL, ("sk_live_", "rk_live_")),
    _Kind("a Slack token", re.compile(r"xox(?<!\wxox)[abposr]-[A-Za-z0-9-]{20,}"), 0.9, _KEYS_TOOL, ("xox",)),
    _Kind(
        "a Google API key", re.compile(r"AIza(?<!\wAIza)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"), 0.9, _KEYS_TOOL, ("aiza",)
    ),
    _Kind(
        "a private key",
        re.compile(
            r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----\s+(?:[^\n]{0,80}\n){0,3}?[A-Za-z0-9+/=]{40,}"
        ),
        0.9,
        _KEYS_TOOL,
        ("private key",),
    ),
    _Kind(
        "a signed web token (JWT)",
        re.compile(r"eyJ(?<![\w-]eyJ)[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"),
        0.7,
        _KEYS_TOOL,
        ("eyj",),
    ),
    _Kind(
        "a password in a URL",
        re.compile(r"(?<=\w)://[^\s:/@'\"<>{}$]{1,64}:([^\s:/@'\"<>{}$]{3,64})@[\w.-]+"),
        0.7,
        _KEYS_TOOL,
        ("://",),
    ),
    _Kind(
        "an email address",
        re.compile(r"@(?<=[\w.+-]@)(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,12}(?![\w@-])"),
        0.3,
        _PERSONS_TOOL,
        ("@",),
    ),
    _Kind(
        "a phone number",
        re.compile(
            r"[+(2-9](?<![\w.+-][+(2-9])"
            r"(?:(?<=\+)[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){2,4}"
            r"|(?<=\()\d{3}\) ?\d{3}-\d{4}|(?<=[2-9])\d{2}-\d{3}-\d{4})(?![\w-])"
        ),
        0.3,
        _PERSONS_TOOL,
        ("+1", "+4", "+3", "+9", "+6", "+8", "+2", "+5", "+7", "phone", "tel:", "tel.", "mobile", "fax"),
    ),
    _Kind(
        "a payment card number",
        re.compile(r"[3-6](?<![\w.-][3-6])\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,7}(?![\w-])"),
        0.7,
        _PERSONS_TOOL,
        ("card", "visa", "credit", "payment", "amex"),
    ),
    _Kind(
        "a US social security number",
        re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
        0.6,
        _PERSONS_TOOL,
        ("ssn", "social security"),
    ),
    _Kind(
        "a bank account number (IBAN)",
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        0.7,
        _PERSONS_TOOL,
        ("iban",),
    ),
)
_PLACEHOLDER = re.compile(
    r"(?i)example|your|placeholder|dummy|sample|redacted|changeme|x{4,}|\*{3,}|<|\.\.\.|1234567|abcdef|(.)\1{5,}"
    r"|:(?:pass(?:word|wd)?|pwd|secret|pw)@|test@|@test|@localhost|(?:no-?reply|user|name|email|john\.?doe|jane\.?doe)@"
    r"|@(?:domain|company|email|mail)\.com|\b555[ .-]?\d{3,4}\b|\d-555-\d"
)
_MAYBE = re.compile(r"[0-9@]|-----BEGIN|(?i:secret|passw|token|key)")
"""Every kind has a digit, an @ or one of these words; most messages have none."""
_TEST_CARDS = frozenset({"4111111111111111", "4242424242424242", "5555555555554444", "378282246310005"})
_TEST_SSNS = frozenset({"123-45-6789", "078-05-1120", "219-09-9999", "987-65-4321"})


class Secrets:
    """Keys, passwords, email addresses, phone, card, bank and social security numbers."""

    name = "secrets"
    title = "Keys, passwords and personal data"
    category = Category.SECRET
    cues: frozenset[str] | None = frozenset(cue for kind in _KINDS for cue in kind.cues)

    def find(self, row: Row) -> Iterable[Finding]:
        """One finding per kind and message, at its first place; the reason never holds the secret itself."""
        texts = [(number, message.text) for number, message in enumerate(row.messages)]
        if row.tools:
            texts.append((-1, row.offered))
        for number, text in texts:
            for kind, start, end, count in _in_text(text):
                more = f" and {count - 1} more" if count > 1 else ""
                reason = f"Looks like {kind.what}{more}; check with {kind.tool}."
                place = (number, start, end) if number >= 0 else (number, 0, 0)
                yield Finding(row.id, self.name, self.category, reason, kind.strength, *place)


@found_once
def _in_text(text: str) -> tuple[tuple[_Kind, int, int, int], ...]:
    """Each kind that a text holds, where its first one begins and ends, and how many there are."""
    if not _MAYBE.search(text):
        return ()
    lower = text.lower()
    found = []
    for kind in _KINDS:
        if not any(cue in lower for cue in kind.cues):
            continue
        real = [match for match in kind.pattern.finditer(text) if _is_real(kind.what, match)]
        if real:
            found.append((kind, *_span(real[0]), len(real)))
    return tuple(found)


_LEFT_PART = re.compile(r"(?:[a-z][a-z0-9+.]{0,20}|[\w.+-]{1,64})$")


def _span(match: re.Match[str]) -> tuple[int, int]:
    """The match with the scheme of its URL or the name of its mailbox, which the fast patterns leave out."""
    start, end = match.span()
    if match[0].startswith(("@", "://")):
        before = _LEFT_PART.search(match.string, max(0, start - 64), start)
        start = before.start() if before else start
    return start, end


def _is_real(what: str, match: re.Match[str]) -> bool:
    start, end = _span(match)
    found = match.string[start:end]
    if _PLACEHOLDER.search(found) or (what == "an email address" and match.string[:start].endswith((":", "/"))):
        return False
    if what == "a payment card number":
        digits = re.sub(r"\D", "", found)
        return 13 <= len(digits) <= 19 and digits not in _TEST_CARDS and passes_luhn(digits)
    if what == "a US social security number":
        return found not in _TEST_SSNS
    if what == "a bank account number (IBAN)":
        return passes_iban(found)
    if what.startswith("an API key"):
        return len(Counter(found)) >= 12 and any(c.isdigit() for c in found)
    return True


def passes_luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    doubled = [int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def passes_iban(text: str) -> bool:
    """The check digits of bank accounts (ISO 13616-1: remainder 1 modulo 97)."""
    account = text.replace(" ", "")
    if not 15 <= len(account) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1


DETECTORS = (Secrets,)
