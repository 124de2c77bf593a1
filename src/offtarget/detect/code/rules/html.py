"""Data put into a page without escaping (CWE-79) and templates made from data (CWE-1336)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from offtarget.detect.code.facts import CODE, HOLE, HTML, Call, Facts, Hole, Value, hole, words

NAMES = (
    r"(?:html|head|body|title|meta|link|script|style|div|span|p|a|b|i|u|br|hr|h[1-6]|ul|ol|li|dl|dt|dd|table|"
    r"thead|tbody|tr|"
    r"td|th|form|input|button|select|option|textarea|label|img|iframe|svg|pre|code|em|strong|small|center|font|section|"
    r"article|header|footer|nav|main|video|audio|source|blockquote|caption|fieldset|figure|marquee|object|embed)"
)
TAG = re.compile(rf"(?:<|&lt;)/?{NAMES}(?=[\s/>\0&]|$)", re.I)
RESPONSES = words(
    "make_response Response HttpResponse HTMLResponse HttpResponseBadRequest HttpResponseNotFound "
    "HttpResponseServerError "
    "HttpResponseForbidden StreamingHttpResponse html"
)
WRITES = words(
    "self.write self.finish self.response.write self.response.out.write self.wfile.write response.write "
    "self.send_response_body"
)
STRUCTURED = words("jsonify dumps render_template render redirect send_file send_from_directory")
MARKS = frozenset({"Markup", "mark_safe", "SafeString", "SafeText", "HTML"})
ESCAPED_TEMPLATE = 0.45
"""Text escaped for HTML still runs as a template; common enough in code meant to be secure to stay a hint."""
TEMPLATES = frozenset({"render_template_string", "from_string"})


def answered(facts: Facts) -> Iterator[Hole]:
    """A handler returns text with data in it."""
    for item in facts.returns:
        function = item.function
        if not function.handler or (function.handler == "fastapi" and not _is_html(item.value)):
            continue
        if function.handler == "django" or _is_structured(item.value):
            continue
        yield from _in_page(item.value, item.node)
    for call in facts.calls:
        if call.tail in RESPONSES or call.name in WRITES:
            first = call.arg(0, "content") or call.arg(0, "response") or call.arg(0, "text")
            if first is not None and not _is_structured(first) and not _plain_text(call):
                yield from _in_page(first, call.node)


def marked_safe(facts: Facts) -> Iterator[Hole]:
    """Data declared to be safe markup."""
    for call in facts.calls:
        if call.tail in MARKS and call.args:
            danger = call.args[0].dangerous(HTML)
            if danger:
                strength = {"outside": 0.95, "param": 0.9, "unknown": 0.6}[danger]
                yield hole(
                    "html-marked-safe",
                    call.node,
                    strength,
                    f"{call.args[0].origin} is declared safe HTML without escaping (CWE-79)",
                )


def built_template(facts: Facts) -> Iterator[Hole]:
    """The text of a template holds data, or is data."""
    for call in facts.calls:
        if call.tail in TEMPLATES or (call.tail == "Template" and "string" not in call.name):
            first = call.arg(0, "source")
            if first is None:
                continue
            danger = first.dangerous(HTML | CODE)
            both = first.dangerous(CODE)
            if (
                first.text is not None
                and HOLE in first.text
                and danger in {"outside", "param"}
                and first.dangerous(HTML)
            ):
                yield hole(
                    "template-built", call.node, 0.93, f"A template is built from {first.origin} (CWE-1336, CWE-79)"
                )
            elif both == "outside":
                strength = 0.9 if first.dangerous(HTML) else ESCAPED_TEMPLATE
                yield hole("template-built", call.node, strength, f"{first.origin} is used as a template (CWE-1336)")


def built_html(facts: Facts) -> Iterator[Hole]:
    """HTML put together from data in a function that no framework calls here."""
    for built, danger in facts.built_with(TAG, HTML):
        strength = {"outside": 0.93, "param": 0.75, "unknown": 0.55}[danger]
        yield hole(
            "html-built", built.node, strength, f"HTML is built from {built.value.origin} without escaping (CWE-79)"
        )


def _in_page(value: Value, node: ast.AST) -> Iterator[Hole]:
    danger = value.dangerous(HTML)
    if danger == "outside" or (danger and _is_html(value) and value.text and HOLE in value.text):
        strength = {"outside": 0.95 if value.text is not None else 0.7, "param": 0.8, "unknown": 0.6}[danger]
        yield hole("html-response", node, strength, f"{value.origin} is sent in a page without escaping (CWE-79)")


def _is_structured(value: Value) -> bool:
    if value.made in {"dict", "list"}:
        return True
    tail = value.made.rpartition(".")[2]
    return tail in STRUCTURED or (value.text is None and bool(value.made))


def _is_html(value: Value) -> bool:
    return value.text is not None and bool(TAG.search(value.text))


def _plain_text(call: Call) -> bool:
    kind = call.keywords.get("mimetype") or call.keywords.get("content_type") or call.keywords.get("media_type")
    return kind is not None and isinstance(kind.const, str) and "html" not in kind.const


RULES = (answered, marked_safe, built_template, built_html)
