"""XML parsers that follow entities, and queries built from data (CWE-611, CWE-643, CWE-90)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import CODE, HOLE, Facts, Hole, hole

STANDARD = re.compile(r"^(?:xml\.(?:etree|dom|sax)|lxml\.etree|ET\b|etree\b|minidom\b|xmltodict\b)")
PARSES = frozenset({"parse", "fromstring", "XML", "parseString", "iterparse", "make_parser", "XMLParser"})


def entities(facts: Facts) -> Iterator[Hole]:
    """Entities resolved on purpose, or untrusted XML given to a parser that expands them."""
    for call in facts.calls:
        given = call.keywords.get("resolve_entities")
        if (given is not None and given.const is True) or (
            (dtd := call.keywords.get("load_dtd")) is not None and dtd.const is True
        ):
            yield hole("xxe", call.node, 0.9, "The XML parser resolves entities (CWE-611)")
        elif call.tail in PARSES and STANDARD.match(call.name) and call.args:
            danger = call.args[0].dangerous(CODE)
            if danger == "outside":
                yield hole(
                    "xml-untrusted",
                    call.node,
                    0.8,
                    f"{call.args[0].origin} is read by an XML parser that expands entities (CWE-611)",
                )
        elif (
            call.tail == "setFeature"
            and len(call.args) > 1
            and call.args[1].const in (True, 1)
            and "external" in facts.line(call.node.lineno)
        ):
            yield hole("xxe", call.node, 0.9, "The XML parser reads external entities (CWE-611)")


def queries(facts: Facts) -> Iterator[Hole]:
    """XPath and LDAP queries with data in them."""
    for built in facts.built:
        text = built.value.text
        danger = built.value.dangerous(CODE)
        if text is None or HOLE not in text or danger not in {"outside", "param"}:
            continue
        if re.search(r"//?\w+\[[^\]]{0,200}=\s*['\"]?\0", text):
            yield hole("xpath", built.node, 0.85, f"An XPath query is built from {built.value.origin} (CWE-643)")
        elif re.search(
            r"\((?:uid|cn|sn|sAMAccountName|mail|ou|dc|member\w*|objectClass|user\w*|givenName)=[^()]*\0[^()]*\)|"
            r"\b(?:uid|cn|ou)=\0,\s*(?:ou|dc|cn)=",
            text,
            re.I,
        ):
            yield hole("ldap", built.node, 0.85, f"An LDAP query is built from {built.value.origin} (CWE-90)")


RULES = (entities, queries)
