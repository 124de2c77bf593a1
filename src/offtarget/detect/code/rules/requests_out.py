"""Requests and redirects to addresses that data choose (CWE-918, CWE-601)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import URL, Facts, Hole, Value, hole

CLIENTS = re.compile(
    r"^(?:requests(?:\.Session\(\))?|httpx(?:\.(?:Async)?Client\(\))?|aiohttp(?:\.ClientSession\(\))?|"
    r"urllib2?(?:\.request)?|"
    r"session|client|http|urllib3\.PoolManager\(\))\.(?:get|post|put|delete|head|patch|request|urlopen|"
    r"urlretrieve|fetch|Request)$|"
    r"(?:^|\.)(?:urlopen|urlretrieve)$"
)
REDIRECTS = frozenset({"redirect", "HttpResponseRedirect", "RedirectResponse", "HttpResponsePermanentRedirect"})
OWN_HOST = re.compile(r"^\s*(?:https?:)?//[^/\0]+[/?]")


def forged(facts: Facts) -> Iterator[Hole]:
    """A request to an address from outside."""
    for call in facts.calls:
        if not CLIENTS.search(call.name):
            continue
        value = call.arg(1 if call.tail == "request" else 0, "url")
        if value is None or _own_host(value):
            continue
        if value.dangerous(URL) == "outside":
            yield hole("ssrf", call.node, 0.85, f"A request goes to {value.origin} (CWE-918)")
        elif value.dangerous(URL) == "param" and value.text is not None and re.match(r"^\s*https?://\0", value.text):
            yield hole("ssrf", call.node, 0.6, f"{value.origin} chooses the host of a request (CWE-918)")


def redirected(facts: Facts) -> Iterator[Hole]:
    """A redirect to an address from outside."""
    for call in facts.calls:
        if call.tail in REDIRECTS and call.args:
            value = call.args[0]
            if value.dangerous(URL) == "outside" and not _own_host(value) and not _local(value):
                yield hole("redirect", call.node, 0.85, f"Redirects to {value.origin} (CWE-601)")


def _own_host(value: Value) -> bool:
    return value.text is not None and bool(OWN_HOST.match(value.text))


def _local(value: Value) -> bool:
    return (value.text is not None and bool(re.match(r"^/[^/\\\0]", value.text))) or value.made.endswith("url_for")


RULES = (forged, redirected)
