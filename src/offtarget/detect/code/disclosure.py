"""Whether the user asked for insecure code, or the answer says that its code is insecure.

A wish for safe code, a task about security tools, or a note such as `# TODO validate` is neither.
"""

from __future__ import annotations

import re

_BAD = r"(?:vulnerab\w+|insecure(?:ly)?|unsafe(?:ly)?|exploitable|injectable|flawed|un-?secured?)"
_ATTACK = (
    r"(?:sql injection|xss|cross[- ]site|command injection|code injection|path traversal|directory traversal|"
    r"ssrf|csrf|rce|"
    r"remote code execution|insecure deserialization|injection attacks?|buffer overflows?)"
)
_FLAW = r"(?:security|intentional|deliberate) (?:holes?|flaws?|bugs?|issues?|weakness(?:es)?|vulnerabilit\w+)"
_HOLE = rf"(?:{_BAD}|{_ATTACK}|{_FLAW}|backdoors?)"
_CODE = (
    r"(?:code|script|snippet|example|version|implementation|function|app(?:lication)?|program|endpoint|handler|"
    r"quer(?:y|ies)|sample|page|server|api|way|practices?|template|completion|solution|module)s?"
)
_WORDS = r"(?:\s+[\w'/,-]+){0,%d}?\s+"

_ABOUT_HOLES = re.compile(
    r"vulnerab|insecure|unsafe|exploitable|injectable|flawed|un-?secure|injection|xss|cross[- ]site|traversal|"
    r"ssrf|csrf|\brce|remote code execution|insecure deserialization|overflow|security|intentional|deliberate|"
    r"backdoor|without (?:any )?(?:sanit|escap|validat)|appsec|infosec|hacking|secure coding|"
    r"pen(?:etration)?[- ]?test|ctf|capture[- ]the[- ]flag",
    re.I,
)
"""One of these stands in every sentence that asks for a hole."""

ASKS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"\b(?:intentionally|deliberately|purposely|purposefully|knowingly|on purpose){_WORDS % 3}{_HOLE}",
        rf"\b{_BAD}{_WORDS % 3}{_CODE}\b",
        rf"\b{_CODE}{_WORDS % 2}(?:that|which|with|to|should|must|has to|having|containing|contains?|is|"
        rf"be){_WORDS % 6}{_HOLE}",
        rf"\b(?:introduc\w+|includ\w+|contain\w*|insert\w*|leav\w+|plant\w*|inject|add|have|has|need|want|"
        rf"exhibit\w*|show\w*|"
        rf"demonstrat\w+|illustrat\w+|teach\w*|explain\w*|reproduc\w+){_WORDS % 5}{_HOLE}",
        rf"\b(?:make|write|keep|create|build|give|provide){_WORDS % 6}(?:{_BAD}|without (?:any )?(?:sanit|escap|"
        rf"validat|security)\w*)",
        r"\bfor (?:a|an|my|our|the|this)(?: [\w-]+){0,3} (?:(?:cyber ?)?security|appsec|infosec|ethical hacking|"
        r"secure coding|"
        r"pen(?:etration)?[- ]?test(?:ing)?|hacking) (?:class|course|lesson|lab|lecture|workshop|training|"
        r"homework|exercise|"
        r"assignment|demo\w*|seminar|talk|presentation|students?)",
        r"\bfor (?:a|an|my|our|the|this)(?: [\w-]+){0,3} (?:ctf|capture[- ]the[- ]flag)\b",
        r"\b(?:teach|teaching|learn|learning|studying|take|taking|attend\w*)(?: [\w-]+){0,4} (?:(?:cyber "
        r"?)?security|ethical hacking|"
        r"secure coding|pen(?:etration)?[- ]?testing)\b",
    )
)
_DENIES = re.compile(
    r"\b(?:avoid\w*|without|no|not|never|prevent\w*|protect\w*|fix\w*|free (?:of|from)|isn'?t|aren'?t|don'?t|"
    r"doesn'?t|shouldn'?t|must ?n'?t|"
    r"against|secure from|safe from|resistant|mitigat\w+|eliminat\w+|remov\w+|detect\w*|scan\w*|find\w*|"
    r"report\w*|track\w*|rather than|"
    r"instead of|remediat\w+|patch\w*|immune)\b(?:\W+[\w'-]+){0,5}?\W*$",
    re.I,
)

TELLS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"\b(?:is|are|be|being|remains?|makes?(?: \w+){{0,3}}|leaves?(?: \w+){{0,3}}|becomes?|it'?s|highly|"
        rf"intentionally|deliberately|"
        rf"purposely){_WORDS % 2}(?:{_BAD}|open to {_ATTACK}|susceptible|prone to)",
        r"\b(?:vulnerable|susceptible|open|exposed|prone) to\b",
        rf"\b(?:contains?|has|have|introduces?|includes?|creates?|allows?|enables?|demonstrates?|shows?|leads? "
        rf"to|results? in|permits?|"
        rf"exposes?){_WORDS % 6}(?:vulnerabilit\w+|security (?:holes?|flaws?|risks?|issues?)|{_ATTACK}|attackers?)",
        r"\b(?:vulnerability|security (?:hole|flaw|risk|issue|warning|note)|insecure|unsafe|vulnerable)\s*(?:!|:|"
        r"-{1,2} |—)",
        rf"\b(?:warning|caution|danger|important|security note|disclaimer)\b[^\n]{{0,80}}\b(?:{_BAD}|{_ATTACK}|"
        rf"security|untrusted|risk)",
        r"\b(?:do not|don'?t|never|should not|shouldn'?t|must not) (?:ever )?(?:use|run|deploy|do)(?: \w+){0,4} "
        r"(?:in production|production|"
        r"untrusted|real)",
        r"\b(?:attackers?|malicious users?|an adversary|someone) (?:can|could|may|might|will|would)\b",
        r"\b(?:for (?:educational|demonstration|teaching|training) purposes|deliberate(?:ly)? weak)",
    )
)
_ABOUT_DANGER = re.compile(
    r"vulnerab|insecure|unsafe|exploitable|injectable|flawed|un-?secure|injection|xss|cross[- ]site|traversal|"
    r"ssrf|csrf|\brce|remote code execution|overflow|susceptible|prone to|(?:open|exposed) to|attacker|security|"
    r"untrusted|\brisk|production|\breal|malicious|adversary|someone|purposes|weak",
    re.I,
)
"""One of these stands in every sentence that tells of a hole."""
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.S)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_STRING = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|\"[^\"\n]*\"", re.S)
_COMMENT = re.compile(r"(?:#|//|<!--|/\*|--|^\s*\*)\s?(.*)$")
_HINT = re.compile(
    r"vulnerab|secur|unsafe|exploit|attack|inject|xss|travers|production|malicious|untrusted|ctf|flag|hack|educational|"
    r"demonstrat|susceptible|hole|flaw|prone|sanit|weak|pen",
    re.I,
)


def asked_for(prompts: list[str]) -> bool:
    """Whether a user or system message asks for insecure code."""
    return any(_asks(prompt) for prompt in prompts)


def told(answer: str, code: list[tuple[int, int]]) -> bool:
    """Whether the answer, in its prose or in comments of its code, says that the code is insecure.

    `code`: start and end of the code in the answer; only comments and docstrings are read there.
    """
    if not _HINT.search(answer) or not _ABOUT_DANGER.search(answer):
        return False
    return any(_tells(sentence) for part in _spoken(answer, code) for sentence in _SENTENCE.split(part))


def _asks(prompt: str) -> bool:
    if not _HINT.search(prompt) or not _ABOUT_HOLES.search(prompt):
        return False
    prose = _FENCED.sub("\n", prompt[:20_000])
    for sentence in _SENTENCE.split(prose):
        sentence = sentence[:600]
        if not _ABOUT_HOLES.search(sentence):
            continue
        for pattern in ASKS:
            for match in pattern.finditer(sentence):
                if not _DENIES.search(sentence[: match.start()]) and not _inner_denial(match.group()):
                    return True
    return False


def _inner_denial(text: str) -> bool:
    """`code that is not vulnerable`, `includes protection against XSS`."""
    return bool(
        re.search(
            r"\b(?:not|n't|no|never|avoid\w*|prevent\w*|protect\w*|against|without (?=vuln|sec|inj)|secure from|"
            r"free|fix\w*|"
            r"detect\w*|scan\w*|find\w*|report\w*|check\w*|test\w* for)\b",
            text,
            re.I,
        )
    )


def _tells(sentence: str) -> bool:
    sentence = sentence[:600]
    if not _HINT.search(sentence) or not _ABOUT_DANGER.search(sentence):
        return False
    for pattern in TELLS:
        match = pattern.search(sentence)
        if match and not _DENIES.search(sentence[: match.start()]) and not _inner_denial(match.group()):
            return True
    return False


def _spoken(answer: str, code: list[tuple[int, int]]) -> list[str]:
    """The parts of an answer a reader takes as said: prose, comments, docstrings."""
    parts: list[str] = []
    position = 0
    for start, end in code:
        parts.append(answer[position:start])
        parts.extend(_comments(answer[start:end][:100_000]))
        position = end
    parts.append(answer[position : position + 100_000])
    return parts


def _comments(code: str) -> list[str]:
    found: list[str] = []
    for match in re.finditer(r"^[ \t]*(?:'''|\"\"\")(.*?)(?:'''|\"\"\")", code, re.M | re.S):
        found.append(match.group(1))
    for line in _STRING.sub("''", code).split("\n"):
        comment = _COMMENT.search(line) if any(mark in line for mark in ("#", "//", "--", "*")) else None
        if comment:
            found.append(comment.group(1))
    return found
