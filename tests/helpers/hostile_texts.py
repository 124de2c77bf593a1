"""Texts made to hold up whoever reads them: depth, length, repetition, half-open quotes, giant tokens and numbers."""

from __future__ import annotations

import random

_CUES = (
    "kill", "you", "should", "doctor", "need", "guarantee", "risk", "savings", "crypto", "hide", "from",
    "police", "lie", "to", "without", "telling", "bomb", "how", "make", "steal", "stupid", "women", "are",
    "guilt", "feel", "secretly", "skip", "safe", "bleach", "drink", "suicide", "yourself", "rule", "humans",
    "enslave", "threaten",
)  # fmt: skip

REPEATED = {
    "blanks": " ", "lines": "\n", "letters": "a", "capitals": "Aa", "digits": "7", "open brackets": "(", "lists": "[",
    "objects": '{"a":', "fences": "```python\nx\n```\n", "open fences": "```\n", "code tags": "<code>", "tags": "<b>",
    "entities": "&amp;", "equals": "=", "equations": "1=", "sums": "1+1=2 ", "hashes": "#",
    "marked answers": "#### 5\n",
    "boxes": "\\boxed{", "answers": "the answer is ", "steps": "<<1=1>>", "angles": "<", "commas": "1,",
    "numbers": "666, ", "mailboxes": "a@", "dots": "a.", "addresses": "http://", "logins": "http://a:b@c ",
    "tokens": "eyJ-", "long tokens": "eyJaaaaaaaaaaa.", "keys": "sk-", "cloud keys": "aws secret = ",
    "cards": "card 4111 ", "phones": "phone +1", "accounts": "iban DE00",
    "private keys": "-----BEGIN PRIVATE KEY-----\n",
    "threats": "kill yourself ", "short sentences": "kill. ", "quotations": '"kill you" ', "quotes": '"',
    "zero widths": "\u200b", "twins": "a\u0430", "hidden tags": "\U000e0041", "emoji": "\U0001f600",
    "combining": "e\u0301", "dotted capitals": "\u0130", "ideographs": "\u4e2d", "right to left": "\u202e",
    "bold": "**a", "items": "- a\n", "dashes": "-", "underscores": "_", "tables": "|a|\n", "backticks": "`",
    "formats": "%(", "roles": "i'm a ", "novices": "i'm new new new ", "holes": "# todo your code here ",
    "mixed scripts": "kill \u4e2d ",
}  # fmt: skip
"""What is repeated, by name."""

PYTHON = {
    "brackets": ("x = ", "(", "1"), "nots": ("x = ", "not ", "1"), "signs": ("x = ", "-", "1"),
    "sums": ("x = ", "a+", "1"), "attributes": ("x = a", ".b", ""), "calls": ("x = f", "()", ""),
    "number": ("x = ", "9", ""), "strings": ("import os\nx = ", "'a'+", "y\nos.system(x)"),
    "functions": ("", "def f(x):\n    return g(x)\n", ""), "assignments": ("", "x = x + 'a'\n", "cursor.execute(x)"),
    "triple quotes": ("", "'''\n", ""), "format strings": ("", "x = f'{", ""), "lambdas": ("x=", "lambda:", "1"),
    "choices": ("x=", "1 if y else ", "1"),
    "errors": ("", "x = = 1\n", ""), "decorators": ("", "@a\n", "def f(): pass"),
    "statements": ("", "x=1;", ""), "subscripts": ("x=a", "[0]", ""), "blocks": ("", "if x:\n ", "pass"),
    "queries": ("", "cursor.execute('select * from t where a=' + x)\n", ""), "hosts": ("re.compile('", "a.", "com')"),
    "classes": ("re.compile('", "[", "')"), "paths": ("x = '//a[", "=", "' + y\ntree.xpath(x)"),
    "percents": ("x = '", "%s", "' % y\ncursor.execute(x)"),
    "braces": ("x = '", "{}", "'.format(y)\ncursor.execute(x)"),
    "prints": ("", "print  a  ", ""), "excepts": ("try:\n  x\n", "except a , ", ""),
}  # fmt: skip
"""Code by name: what comes first, what is repeated, what comes last."""

OTHERS = {
    "javascript": '"select "', "js": "a.innerHTML = b;\n", "php": "echo $_GET['a'];\n", "bash": "chmod 777 x\n",
    "c": "printf (buf buf ", "go": 'Sprintf("select ', "ruby": "send params ", "sql": "exec 'a' ",
}  # fmt: skip
"""A line of other languages, by the name of its fence."""


def hostile_texts(size: int) -> dict[str, str]:
    """Every kind, with about `size` characters."""
    texts = {name: piece * (size // len(piece)) for name, piece in REPEATED.items()}
    for name, (first, piece, last) in PYTHON.items():
        texts[f"python: {name}"] = f"```python\n{first}{piece * (size // len(piece))}{last}\n```"
    for name, piece in OTHERS.items():
        line = piece * max(1, 390 // len(piece)) + "\n"
        texts[name] = f"```{name}\n{line * (size // len(line))}```"
    rng = random.Random(5)
    words = [rng.choice(_CUES) for _ in range(size // 6)]
    texts["cues"] = " ".join(words)
    texts["cues in lines"] = "\n".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9))
    texts["cues in sentences"] = ". ".join(" ".join(words[at : at + 5]) for at in range(0, len(words), 5))
    texts["other words"] = " ".join(f"w{number}" for number in range(size // 6))
    return texts
