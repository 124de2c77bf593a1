"""A few unmistakable weaknesses in languages other than Python, found by patterns on single lines.

These are patterns, not an analysis: no data flow, no knowledge of checks elsewhere. Their reasons say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Hole, words

_SQL = r"(?>[^\n]*?(?:select\s[^\n]*?\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s))"
"""The first statement after a quotation mark: what follows it is sought once, not after every later one too."""
_DOUBLE, _EITHER, _BACKTICK = (rf"\A[^{mark}]*+[{mark}]" for mark in ('"', "\"'", "`"))
"""Up to the first such mark of the line, for the same reason."""
_REQUEST = r"req(?:uest)?\.(?:query|params|body|headers|cookies)"
_PHP_INPUT = r"\$_(?:GET|POST|REQUEST|COOKIE|FILES|SERVER)\b"

_MARKUP_SET = r"\.(?:innerHTML|outerHTML)\s*+\+?=\s*+(?!=)"
_TEXT = (
    r"(?:\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'|`(?:[^`$\\\n]|\\.|\$(?!\{))*+(?:`|$)|[0-9.]++|null\b|true\b|"
    r"false\b|(?-i:[A-Z][A-Z0-9_]*+)(?![\w(.\[]))"
)
_SUM = rf"{_TEXT}(?:\s*+\+\s*+{_TEXT})*+"
_CONSTANT = rf"(?:[\w.!=<>&| ()\[\]]+\?\s*+{_SUM}\s*+:\s*+)?{_SUM}\s*+(?:$|[;}})]|//)"
"""Literals and constants by their name in capitals, one or a sum of them, or a choice between two such."""
_CLEANED = r"(?:sanitize|sanitise|escape|DOMPurify|purify|encode|textContent)"
_FROM_OUTSIDE = (
    r"(?:location\b|params?\b|query|search|hash\b|cookie|prompt\(|\.value\b|input|name\b|msg|message|comment|user|"
    r"\.?text\b|text\(|title|body|content|html\b|data\b|response|result|reply|req\.|event|payload|post\b|term)"
)
"""Names under which pages hold what people typed or servers sent; other values (counters, dates, sums) only rank."""

_PATTERNS: dict[str, list[tuple[str, float, str]]] = {
    "php": [
        (rf"{_EITHER}{_SQL}[^\n]*?\$\w", 0.85, "SQL is built from a variable (CWE-89)"),
        (
            rf"\b(?:echo|print)\b(?![^;\n]*(?:htmlspecialchars|htmlentities|json_encode|intval))[^;\n]*{_PHP_INPUT}",
            0.9,
            "input is printed without escaping (CWE-79)",
        ),
        (r"\b(?:include|require)(?:_once)?\s*\(?[^;\n]*\$_", 0.95, "input chooses an included file (CWE-98)"),
        (
            r"\b(?:system|exec|shell_exec|passthru|popen|proc_open)\s*\((?![^;\n]*escapeshell)[^;\n]*\$",
            0.85,
            "a shell command is built from a variable (CWE-78)",
        ),
        (r"\b(?:eval|assert|create_function)\s*\([^;\n]*\$", 0.85, "a variable is run as code (CWE-95)"),
        (rf"\bunserialize\s*\([^;\n]*(?:{_PHP_INPUT}|\$)", 0.85, "a variable is unserialised (CWE-502)"),
        (r"\b(?:md5|sha1)\s*\(\s*\$\w*pass", 0.85, "a fast hash for a password (CWE-916)"),
        (
            r"move_uploaded_file\s*\((?![^;\n]*uniqid)[^;\n]*\[['\"]name['\"]\]",
            0.8,
            "an upload keeps its name (CWE-434)",
        ),
        (
            rf"\b(?:file_get_contents|fopen|readfile|unlink)\s*\((?![^;\n]*basename)[^;\n]*{_PHP_INPUT}",
            0.9,
            "input chooses a file (CWE-22)",
        ),
    ],
    "javascript": [
        (rf"{_BACKTICK}{_SQL}[^`\n]*?\$\{{", 0.85, "SQL is built from a value (CWE-89)"),
        (rf"{_EITHER}{_SQL}[^\n]*?['\"]\s*\+\s*\w", 0.85, "SQL is built from a value (CWE-89)"),
        (rf"{_MARKUP_SET}(?!{_CONSTANT})(?!.*{_CLEANED}).*{_FROM_OUTSIDE}", 0.7, "HTML is set from data (CWE-79)"),
        (rf"{_MARKUP_SET}(?!{_CONSTANT})(?!.*{_CLEANED})", 0.45, "HTML is set from a value (CWE-79)"),
        (r"document\.write(?:ln)?\s*\([^)\n]*(?:\+|\$\{|location)", 0.75, "HTML is written from a value (CWE-79)"),
        (r"\beval\s*\(\s*(?!['\"`)])|\bnew Function\s*\(\s*(?!['\"`)])", 0.8, "a value is run as code (CWE-95)"),
        (
            r"\bexec(?:Sync)?\s*\(\s*(?:`[^`\n]*\$\{|['\"][^'\"\n]*['\"]\s*\+)",
            0.85,
            "a shell command is built (CWE-78)",
        ),
        (
            rf"\bres\.(?:send|write|end)\s*\((?!.*(?:escape|encode|sanitize))[^;\n]*{_REQUEST}",
            0.75,
            "input is sent in a page without escaping (CWE-79)",
        ),
        (
            rf"\b(?:readFile|readFileSync|sendFile|createReadStream|unlink)\s*\((?!.*basename)[^;\n]*{_REQUEST}",
            0.85,
            "input chooses a file (CWE-22)",
        ),
        (rf"\bres\.redirect\s*\([^;\n]*{_REQUEST}", 0.8, "input chooses where to redirect (CWE-601)"),
        (
            r"rejectUnauthorized\s*:\s*false|NODE_TLS_REJECT_UNAUTHORIZED",
            0.85,
            "certificates are not checked (CWE-295)",
        ),
        (r"createHash\s*\(\s*['\"](?:md5|sha1)['\"]", 0.55, "a broken hash (CWE-327)"),
        (r"dangerouslySetInnerHTML(?!.*(?:sanitize|DOMPurify))", 0.65, "HTML is set without escaping (CWE-79)"),
        (r"(?:token|secret|password|session)\w*\s*=[^\n]*Math\.random\(", 0.75, "a secret can be predicted (CWE-330)"),
    ],
    "java": [
        (rf"{_DOUBLE}{_SQL}[^\n]*?\"\s*\+\s*\w", 0.85, "SQL is built from a value (CWE-89)"),
        (r"getRuntime\(\)\.exec\s*\([^;\n]*\+", 0.85, "a command is built from a value (CWE-78)"),
        (r"\.readObject\s*\(\s*\)|\bXMLDecoder\b|\bBinaryFormatter\b", 0.7, "objects are read from data (CWE-502)"),
        (r"MessageDigest\.getInstance\s*\(\s*\"(?:MD5|SHA-?1)\"", 0.6, "a broken hash (CWE-327)"),
        (r"Cipher\.getInstance\s*\(\s*\"(?:DES|DESede|RC4|AES/ECB|AES\")", 0.8, "a broken cipher or mode (CWE-327)"),
        (r"new File(?:InputStream|Reader)?\s*\([^;\n]*getParameter", 0.85, "input chooses a file (CWE-22)"),
        (r"getWriter\(\)\.(?:print\w*|write)\s*\([^;\n]*getParameter", 0.85, "input is sent in a page (CWE-79)"),
        (r"sendRedirect\s*\([^;\n]*getParameter", 0.85, "input chooses where to redirect (CWE-601)"),
        (
            r"void checkServerTrusted\([^)]*\)[^{\n]*\{\s*\}|NoopHostnameVerifier|ALLOW_ALL_HOSTNAME",
            0.9,
            "certificates are not checked (CWE-295)",
        ),
    ],
    "shell": [
        (
            r"\bchmod\s+(?:-\w+\s+)*(?:0?[0-7]?[0-7][0-7][2367]|a\+[rx]*w\w*|o\+[rx]*w\w*)\b",
            0.9,
            "everybody may write (CWE-732)",
        ),
        (r"\beval\s+[\"']?[^\n]*\$(?:\w|\{|\()", 0.75, "a variable is run as a command (CWE-95)"),
        (r"\b(?:curl|wget)\b[^\n|]*\|\s*(?:sudo\s+)?(?:ba|z)?sh\b", 0.7, "a download is run unseen (CWE-494)"),
        (
            r"\bcurl\b[^\n]*\s(?:-k\b|--insecure)|--no-check-certificate|StrictHostKeyChecking[= ]no",
            0.75,
            "certificates or host keys are not checked (CWE-295)",
        ),
    ],
    "c": [
        (r"\bgets\s*\(", 0.95, "gets() has no bound (CWE-242)"),
        (r"\b(?:strcpy|strcat|sprintf|vsprintf)\s*\(\s*\w+\s*,\s*(?!\")", 0.6, "a copy without a bound (CWE-120)"),
        (r"\bsprintf\s*\([^;\n]*%s", 0.6, "a copy without a bound (CWE-120)"),
        (r"scanf\s*\([^;\n]*%s", 0.75, "input without a bound (CWE-120)"),
        (
            r"\b(?:printf|syslog|fprintf\s*+\(\s*+\w++\s*+,)\s*+\(?\s*+(?:argv|(?=\w*?(?:buf|input|msg|name|str))\w++)\s*+[\[)]",
            0.75,
            "a format string from data (CWE-134)",
        ),
        (r"\b(?:system|popen)\s*\(\s*(?!\")\w", 0.75, "a command from a variable (CWE-78)"),
        (r"\bmktemp\s*\(|\btmpnam\s*\(", 0.8, "a predictable temporary file (CWE-377)"),
    ],
    "go": [
        (
            rf"Sprintf\s*\(\s*[\"`]{_SQL}[^\n]*%[svdq]|{_DOUBLE}{_SQL}[^\n]*\"\s*\+\s*\w",
            0.85,
            "SQL is built from a value (CWE-89)",
        ),
        (
            r"exec\.Command\s*\(\s*\"(?:/bin/)?(?:ba)?sh\"\s*,\s*\"-c\"\s*,\s*(?!\"[^\"]*\"\s*\))",
            0.85,
            "a shell command is built (CWE-78)",
        ),
        (r"InsecureSkipVerify\s*:\s*true", 0.9, "certificates are not checked (CWE-295)"),
        (
            r"template\.HTML\s*\(\s*\w|Fprintf?\s*\(\s*w\s*,[^\n]*(?:FormValue|Query\(\))",
            0.8,
            "input in a page unescaped (CWE-79)",
        ),
    ],
    "ruby": [
        (r"\.(?:where|find_by_sql|execute|order)\s*+\(?\s*+\"[^\"\n]*?#\{", 0.85, "SQL is built from a value (CWE-89)"),
        (
            r"\b(?:system|exec|eval|send|constantize)\b[^\n]*?(?:#\{|params)",
            0.75,
            "input becomes a command or code (CWE-78)",
        ),
        (r"\bhtml_safe\b|\braw\s*+\(?\s*+params|<%==", 0.7, "HTML is not escaped (CWE-79)"),
        (r"\b(?:Marshal\.load|YAML\.load|YAML\.unsafe_load)\b", 0.75, "objects are read from data (CWE-502)"),
        (r"redirect_to\s*+\(?\s*+params", 0.85, "input chooses where to redirect (CWE-601)"),
    ],
    "csharp": [
        (
            rf"{_DOUBLE}{_SQL}[^\n]*?\"\s*\+\s*\w|\A(?>[^\n]*?\$\"){_SQL}[^\n]*?\{{\w",
            0.85,
            "SQL is built from a value (CWE-89)",
        ),
        (r"\bBinaryFormatter\b|TypeNameHandling\.(?:All|Auto|Objects)", 0.8, "objects are read from data (CWE-502)"),
        (r"\b(?:MD5|SHA1)\.Create\(|MD5CryptoServiceProvider", 0.6, "a broken hash (CWE-327)"),
        (r"Process\.Start\s*\([^;\n]*\+", 0.75, "a command is built from a value (CWE-78)"),
    ],
    "sql": [
        (
            r"\bexec(?:ute)?(?:\s+immediate)?\s*+\(?\s*+N?'[^'\n]*+'\s*+(?:\+|\|\|)",
            0.85,
            "a statement is built from a value (CWE-89)",
        ),
        (r"\bgrant\s+all\b[^\n;]*\bto\s+(?:public|'\w*'@'%'|\w+@'%')", 0.75, "everybody gets every right (CWE-732)"),
        (r"\bidentified\s+by\s+'(?:|password|root|admin|123\w*)'", 0.75, "an empty or guessable password (CWE-521)"),
    ],
}
_NAMES = {
    "javascript": words("js javascript ts typescript jsx tsx node html vue"),
    "php": words("php"),
    "java": words("java kotlin scala"),
    "shell": words("bash sh shell zsh console dockerfile"),
    "c": words("c cpp c++ h"),
    "go": words("go golang"),
    "ruby": words("ruby rb erb rails"),
    "csharp": words("csharp cs c#"),
    "sql": words("sql mysql tsql plsql"),
}
_BY_NAME = {name: language for language, names in _NAMES.items() for name in names}
_SIGNS = (
    ("php", re.compile(r"<\?php|\$_(?:GET|POST|REQUEST)\b")),
    ("shell", re.compile(r"\A\s*#!\s*/\S*(?:sh|env bash)\b")),
    ("c", re.compile(r"^[^\S\n]*+#include\s*+<", re.M)),
    ("go", re.compile(r"\A(?>[\s\S]*?^package \w++[^\S\n]*+$)[\s\S]*?\bfunc ", re.M)),
    ("csharp", re.compile(r"^[^\S\n]*+using System\b", re.M)),
    ("java", re.compile(r"\bpublic (?:static |final |abstract )*(?:class|void|String|int) \w+|^import java", re.M)),
    (
        "javascript",
        re.compile(
            r"\bfunction\s*+\w*+\s*+\([^)]{0,300}\)\s*+\{|=>\s*+\{|\b(?:const|let|var) \w++ = |document\.\w|<script\b"
        ),
    ),
    ("ruby", re.compile(r"\A(?>[\s\S]*?^[^\S\n]*+def \w++[^:\n]*+\n)[\s\S]*?^[^\S\n]*+end[^\S\n]*+$", re.M)),
    ("sql", re.compile(r"\A\s*(?:create|grant|exec|declare|alter)\b", re.I)),
)
_COMPILED = {
    language: [(re.compile(pattern, re.I), strength, reason) for pattern, strength, reason in patterns]
    for language, patterns in _PATTERNS.items()
}
_COMMENT = re.compile(r"^\s*(?://|#(?!include|!)|--\s|\*)")
MAX_LINES = 2_000
MAX_LINE = 400


def language_of(name: str, text: str) -> str:
    """The language of a fence's name, or of signs in the text; empty where neither is known."""
    if name:
        return _BY_NAME.get(name, "")
    head = text[:5_000]
    return next((language for language, sign in _SIGNS if sign.search(head)), "")


def other_holes(text: str, language: str) -> Iterator[Hole]:
    """Weaknesses in a text of this language, at most one per line."""
    for number, line in enumerate(text.split("\n")[:MAX_LINES], 1):
        if len(line) > MAX_LINE or _COMMENT.match(line):
            continue
        for pattern, strength, reason in _COMPILED.get(language, ()):
            if pattern.search(line):
                said = reason[0].upper() + reason[1:]
                said += f", by a pattern on one line of {language}"
                yield Hole(f"{language}-pattern", said, number, number, strength)
                break
