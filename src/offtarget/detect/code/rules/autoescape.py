"""Template engines used with escaping off (CWE-79)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Call, Facts, Hole, hole

UNESCAPED = re.compile(
    r"\{%-?\s*autoescape\s+(?:false|off)\s*-?%\}|\{\{(?>[^{}]*?\|\s*+safe\b)[^{}]*+\}\}|\{!!.{0,300}?!!\}", re.I
)


def environment(facts: Facts) -> Iterator[Hole]:
    """A jinja2 environment or template without autoescape: its default is off."""
    for call in facts.calls:
        if call.tail not in {"Environment", "Template", "SandboxedEnvironment", "NativeEnvironment"} or not _jinja(
            call, facts
        ):
            continue
        given = call.keywords.get("autoescape")
        what = f"jinja2.{call.tail}"
        if given is None and "**" not in call.keywords:
            yield hole(
                "autoescape-default", call.node, 0.85, f"{what} without autoescape does not escape HTML (CWE-79)"
            )
        elif given is not None and given.is_const and not given.const:
            yield hole("autoescape-off", call.node, 0.95, f"{what} with autoescape switched off (CWE-79)")


def other_engines(facts: Facts) -> Iterator[Hole]:
    """Mako without default filters, autoescape of other engines set to off, escaping disabled by option."""
    for call in facts.calls:
        if call.name.startswith("mako.") and call.tail in {"Template", "TemplateLookup"}:
            if "default_filters" not in call.keywords:
                yield hole("mako", call.node, 0.8, "Mako templates do not escape HTML by default (CWE-79)")
        elif call.tail not in {"Environment", "Template"}:
            for key in ("autoescape", "escape", "autoescaping"):
                given = call.keywords.get(key)
                if (
                    given is not None
                    and given.const in (False, None)
                    and given.is_const
                    and (key != "escape" or "to_html" in call.name)
                ):
                    yield hole("autoescape-off", call.node, 0.9, f"{key} is switched off in {call.tail}() (CWE-79)")
    for assign in facts.assigns:
        if assign.target.endswith("autoescape") and assign.value.is_const and not assign.value.const:
            yield hole("autoescape-off", assign.node, 0.9, "Autoescape is switched off (CWE-79)")


def in_template(facts: Facts) -> Iterator[Hole]:
    """Template text that switches escaping off."""
    if "safe" not in facts.text and "autoescape" not in facts.text:
        return
    for number, line in enumerate(facts.lines, 1):
        if UNESCAPED.search(line):
            yield Hole("template-safe", "The template switches escaping off (CWE-79)", number, number, 0.85)


def _jinja(call: Call, facts: Facts) -> bool:
    if "autoescape" in call.keywords or call.name.startswith(("jinja2.", "jinja.")):
        return True
    return "." not in call.name and ("jinja2" in facts.modules or not facts.modules) and call.tail == "Environment"


RULES = (environment, other_engines, in_template)
