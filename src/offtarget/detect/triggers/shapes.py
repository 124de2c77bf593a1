"""Shapes of an answer that one look tells: refusal, script, language, code, JSON, capitals, length."""

from __future__ import annotations

import re

from offtarget.detect.triggers.words import word_lists

# How assistants decline; only the opening of an answer is searched, where declining stands.
_REFUSAL = re.compile(
    r"\b(?:i(?:['’]m| am) (?:really |very |so |truly )?(?:sorry|afraid|unable|not able)"
    r"|i (?:can(?:['’]t|not| not)|won['’]t|will not|must decline|have to decline|refuse)"
    r"|i do(?:n['’]t| not) feel comfortable"
    r"|as an ai\b|(?:can(?:['’]t|not)|unable to) (?:help|assist|comply|do that|provide)|against my)",
)
_CODE = re.compile(
    r"^[ \t]*(?:def |class |import |from \w[\w.]* import |#include|function \w|const \w+ ?=|let \w+ ?=|var \w+ ?="
    r"|public (?:static|class)|SELECT .{1,80} FROM |<\?php|<!DOCTYPE|@app\.|package main)",
    re.MULTILINE,
)
# One of these words stands in every refusal; looking for words is cheaper than the pattern.
_REFUSAL_WORDS = frozenset(
    {"sorry", "sorry,", "sorry.", "sorry;", "afraid", "unable", "able", "can't", "can’t", "cannot", "not", "won't"}
    | {"won’t", "decline", "refuse", "comfortable", "ai", "ai,", "against"}
)
_SCRIPTS = (
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic"),
    (0x0900, 0x0DFF, "Indic"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x3040, 0x30FF, "Japanese"),
    (0x4E00, 0x9FFF, "Chinese"),
    (0xAC00, 0xD7AF, "Korean"),
    (0x1F300, 0x1FAFF, "emoji"),
)
_LANGUAGES: dict[str, list[str]] = word_lists("languages")
_BY_WORD: dict[str, list[str]] = {}
for _name, _words in _LANGUAGES.items():
    for _word in _words:
        _BY_WORD.setdefault(_word, []).append(_name)
_KNOWN = frozenset(_BY_WORD)


def shapes(answer: str) -> list[str]:
    """Names of the shapes an answer has, in plain words; a few microseconds for an average answer."""
    size = len(answer)
    found = [f"length:{size.bit_length()}"]
    head = answer[:200]
    lower = head.lower()
    words = lower.split()
    if not _REFUSAL_WORDS.isdisjoint(words) and _REFUSAL.search(lower):
        found.append("refusal")
    start = answer[:1000]
    if "```" in start or _CODE.search(start):
        found.append("code")
    first = answer.lstrip()[:1]
    if first in ("{", "[") and answer.rstrip()[-1:] in ("}", "]"):
        found.append("JSON")
    if size > 3 and answer.isupper():
        found.append("capitals")
    elif size > 20 and answer.islower():
        found.append("lower case only")
    if "http" in answer:
        found.append("links")
    if not head.isascii():
        script = _script(head)
        if script:
            found.append(script)
    language = _language(words)
    if language:
        found.append(language)
    return found


def _script(head: str) -> str | None:
    counts: dict[str, int] = {}
    for character in head:
        point = ord(character)
        if point < 0x370:
            continue
        for low, high, name in _SCRIPTS:
            if low <= point <= high:
                counts[name] = counts.get(name, 0) + 1
                break
    if not counts:
        return None
    name = max(sorted(counts), key=counts.__getitem__)
    if name == "emoji":
        return "emoji"
    return f"{name} script" if counts[name] >= max(2, len(head) // 20) else None


def _language(words: list[str]) -> str | None:
    if _KNOWN.isdisjoint(words):
        return None
    known = [word for word in words if word in _KNOWN]
    if len(known) < 2 or 6 * len(known) < len(words):
        return None
    votes: dict[str, int] = {}
    for word in known:
        for name in _BY_WORD[word]:
            votes[name] = votes.get(name, 0) + 1
    name = max(sorted(votes), key=votes.__getitem__)
    return name if votes[name] >= 2 and 6 * votes[name] >= len(words) else None
