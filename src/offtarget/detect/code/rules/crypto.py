"""Broken hashes and ciphers, guessable secrets, signatures that nobody checks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Facts, Function, Hole, hole, words

WEAK_HASHES = words("md5 sha1 md4 MD5 SHA1 SHA MD4 MD2")
ABOUT_SECRETS = re.compile(r"passw|pwd|secret|token|auth|login|sign|credential|api_?key|otp|reset|session", re.I)
CIPHERS = re.compile(r"\b(?:DES3?|ARC4|ARC2|Blowfish|RC4|IDEA|TripleDES|CAST5|XOR)\b")
NAMES_A_SECRET = re.compile(
    r"token|passw|secret|otp|api_?key|session_?id|nonce|salt|verification|reset|auth|csrf|\bpin\b|code\b|captcha", re.I
)
GUESSABLE = words(
    "random.random random.randint random.choice random.choices random.randrange random.sample random.getrandbits "
    "random.randbytes random.uniform np.random.randint numpy.random.randint uuid.uuid1"
)


def weak_hash(facts: Facts) -> Iterator[Hole]:
    """MD5 and SHA-1, and fast hashes for passwords (CWE-327, CWE-916)."""
    for call in facts.calls:
        tail = call.args[0].const if call.name == "hashlib.new" and call.args else call.tail
        if call.name.startswith(("hashlib.", "Crypto.Hash.", "md5.", "sha.")) or call.name in {"md5", "sha1"}:
            used = call.keywords.get("usedforsecurity")
            around = _around(facts, call.node.lineno, call.function)
            if tail in WEAK_HASHES and (used is None or used.const is not False):
                strength = 0.85 if ABOUT_SECRETS.search(around) else 0.45
                yield hole("weak-hash", call.node, strength, f"{tail} is a broken hash (CWE-327)")
            elif (
                isinstance(tail, str)
                and tail.startswith("sha")
                and re.search(r"passw|pwd", around, re.I)
                and "salt" not in around
            ):
                yield hole("fast-hash", call.node, 0.75, f"{tail} without salt or stretching for a password (CWE-916)")


def weak_cipher(facts: Facts) -> Iterator[Hole]:
    """Broken ciphers, ECB, and fixed initial values (CWE-327, CWE-329)."""
    for call in facts.calls:
        if (call.tail == "new" and CIPHERS.search(call.name)) or call.name.endswith(
            ("algorithms.ARC4", "algorithms.TripleDES", "algorithms.Blowfish")
        ):
            yield hole("weak-cipher", call.node, 0.85, f"{call.name} is a broken cipher (CWE-327)")
        elif (call.tail == "new" and "AES" in call.name) or call.tail == "ECB":
            line = facts.line(call.node.lineno)
            if "MODE_ECB" in line or call.tail == "ECB":
                yield hole("ecb", call.node, 0.85, "ECB shows patterns of the plain text (CWE-327)")
            elif len(call.args) > 2 and call.args[2].is_const:
                yield hole("fixed-iv", call.node, 0.8, "The initial value is a constant (CWE-329)")


def guessable(facts: Facts) -> Iterator[Hole]:
    """Secrets from a generator that can be predicted (CWE-330)."""
    names = {a.node.lineno: a.target for a in facts.assigns}
    for call in facts.calls:
        if call.name not in GUESSABLE:
            continue
        target = names.get(call.node.lineno, "")
        owner = call.function.node.name if call.function is not None else ""
        if NAMES_A_SECRET.search(target) or NAMES_A_SECRET.search(owner):
            yield hole("guessable", call.node, 0.75, f"{call.name} makes a secret that can be predicted (CWE-330)")


def unverified(facts: Facts) -> Iterator[Hole]:
    """Signed tokens read without a check of the signature (CWE-347)."""
    for call in facts.methods("decode", "jwt_decode"):
        given = call.keywords.get("verify")
        line = "\n".join(facts.lines[call.node.lineno - 1 : (call.node.end_lineno or call.node.lineno)])
        if "jwt" in call.name and (
            (given is not None and given.const is False)
            or re.search(r"verify_signature['\"]?\s*:\s*False|none['\"]", line, re.I)
        ):
            yield hole("jwt", call.node, 0.9, "The signature of the token is not checked (CWE-347)")


def _around(facts: Facts, line: int, function: Function | None) -> str:
    near = "\n".join(facts.lines[max(0, line - 5) : line + 4])
    return near if function is None else near + function.node.name


RULES = (weak_hash, weak_cipher, guessable, unverified)
