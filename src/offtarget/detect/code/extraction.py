"""Code in a message: fenced blocks, bare code, or the lines of code between prose; with template when it fills one."""

from __future__ import annotations

import re
from dataclasses import dataclass

FENCE = re.compile(
    r"^[ \t]*+(?:```|~~~)[ \t]*+([\w+#.-]*+)[^\n]*+\n(.*?)(?:^[ \t]*+(?:```|~~~)[ \t]*+$|\Z)", re.M | re.S
)
CODE_TAG = re.compile(r"<(/?)(code|pre)>", re.I)
PYTHON = frozenset({"", "python", "py", "python3", "python2", "py3", "sage", "ipython", "pycon", "code", "text", "txt"})
CODE_LINE = re.compile(
    r"^\s*(?:import [\w.]+|from [\w.]+ import |def \w+\s*\(|async def |class \w+\s*[(:]|@\w+|return\b|if .*:\s*$|"
    r"elif |else:|"
    r"for (?>.+? in ).+:|while .+:|with .+:|try:|except\b.*:|finally:|raise |pass$|break$|continue$|print\s*\(|"
    r"[\w.\[\]'\"]+(?:, ?\w+)*\s*(?:[+\-*/|%]?=)[^=]|[\w.]+\(.*\)?\s*$|[)\]}]+,?\s*$|#|\"\"\"|''')"
)
PROSE_LINE = re.compile(r"^[A-Z][\w']*(?: [\w',;()\"-]+){3,}[.:!?]?\s*$")
TEMPLATE_HOLE = re.compile(
    r"^[ \t]*+(?:#|//|--|<!--|/\*|\[|<|\{|_)*+[ \t]*+(?:todo:? *+)?[^\n]{0,30}\b(?:complete|fill|insert|your|add|"
    r"write|missing|"
    r"implement)\b[^\n]{0,30}\b(?:code|here|implementation|this|blank)\b[^\n]{0,30}$",
    re.M | re.I,
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One piece of code of a message."""

    text: str
    start: int
    """Where it begins in the message."""
    language: str
    """As the fence names it, lower case; empty when nothing says."""
    before: str = ""
    """Template code above the answer, for an answer that fills a hole of the prompt's template."""
    after: str = ""

    @property
    def is_python(self) -> bool:
        """Whether it may be Python."""
        return self.language in PYTHON


def snippets(answer: str) -> list[Snippet]:
    """Every piece of code in an answer, in order."""
    if "```" in answer or "~~~" in answer:
        found = [Snippet(m.group(2), m.start(2), m.group(1).lower()) for m in FENCE.finditer(answer)]
        if found:
            return found
    tagged = [found for found in _tagged(answer) if "\n" in found.text]
    if tagged and len(tagged[0].text) * 2 > len(answer):
        return tagged
    return [Snippet(answer, 0, "")] if _looks_like_code(answer) else _code_paragraphs(answer)


def _tagged(answer: str) -> list[Snippet]:
    """What stands between `<code>` or `<pre>` and the next end of the same tag."""
    tags = list(CODE_TAG.finditer(answer))
    last = {tag[2].lower(): tag.start() for tag in tags if tag[1]}
    found: list[Snippet] = []
    opened: re.Match[str] | None = None
    for tag in tags:
        if opened is None:
            opens = not tag[1] and tag.start() < last.get(tag[2].lower(), 0)
            opened = tag if opens else None
        elif tag[1] and tag[2].lower() == opened[2].lower():
            found.append(Snippet(answer[opened.end() : tag.start()], opened.end(), ""))
            opened = None
    return found


def _looks_like_code(text: str) -> bool:
    lines = [line for line in text[:20_000].split("\n") if line.strip()]
    code = sum(1 for line in lines if CODE_LINE.match(line) or line.startswith((" ", "\t")))
    return code > 0 and not any(PROSE_LINE.match(line) for line in lines[:3]) and code * 2 >= len(lines)


def _code_paragraphs(answer: str) -> list[Snippet]:
    """The run of lines from the first to the last line of code, prose at its ends left out."""
    lines = answer[:200_000].split("\n")
    marks = [bool(CODE_LINE.match(line)) and not PROSE_LINE.match(line) for line in lines]
    if sum(marks) < 2:
        return []
    first = marks.index(True)
    last = len(marks) - 1 - marks[::-1].index(True)
    start = sum(len(line) + 1 for line in lines[:first])
    return [Snippet("\n".join(lines[first : last + 1]), start, "")]


def in_template(snippet: Snippet, prompt: str) -> Snippet:
    """The snippet between the halves of the prompt's template, where the prompt has one with a hole in it."""
    hole = TEMPLATE_HOLE.search(prompt) if len(prompt) < 50_000 else None
    if hole is None:
        return snippet
    above = _code_above(prompt[: hole.start()].split("\n"))
    below = _code_below(prompt[hole.end() :].split("\n"))
    first = next((line.strip() for line in above + below if len(line.strip()) > 3), "")
    if not first or first in snippet.text:
        return snippet
    return Snippet(snippet.text, snippet.start, snippet.language, "\n".join(above), "\n".join(below))


def _is_code(line: str) -> bool:
    return (
        not line.strip() or line.startswith((" ", "\t")) or bool(CODE_LINE.match(line) and not PROSE_LINE.match(line))
    )


def _code_above(lines: list[str]) -> list[str]:
    keep = len(lines)
    while keep > 0 and _is_code(lines[keep - 1]):
        keep -= 1
    return lines[keep:]


def _code_below(lines: list[str]) -> list[str]:
    keep = 0
    while keep < len(lines) and _is_code(lines[keep]):
        keep += 1
    return lines[:keep]
