"""Debug servers, open interfaces, open cross-origin rules, cookies without flags, CSRF switched off."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.detect.code.facts import Call, Facts, Hole, hole, words

HABIT = 0.45
"""What tutorials do on purpose (a debugger, every interface, a first secret key) ranks a row and never flags it."""
SERVES = words("run bind serve listen create_server TCPServer HTTPServer run_server serve_forever")


def debug(facts: Facts) -> Iterator[Hole]:
    """A debugger reachable in production (CWE-489)."""
    for call in facts.calls:
        given = call.keywords.get("debug")
        if call.tail in {"run", "Flask", "run_server", "runserver"} and given is not None and given.const is True:
            yield hole("debug", call.node, HABIT, "The web server runs with its debugger on (CWE-489)")
    for assign in facts.assigns:
        if assign.target in {"DEBUG", "app.debug", "app.config['DEBUG']"} and assign.value.const is True:
            yield hole("debug", assign.node, HABIT, "Debugging is switched on (CWE-489)")


def all_interfaces(facts: Facts) -> Iterator[Hole]:
    """A server on every network interface (CWE-605)."""
    for call in facts.calls:
        if call.tail not in SERVES:
            continue
        values = [*call.args, *call.keywords.values()]
        if any(value.const in ("0.0.0.0", "::") or value.text == "0.0.0.0" for value in values):  # noqa: S104 - sought, not bound
            yield hole("bind-all", call.node, HABIT, "The server listens on every interface (CWE-605)")


def cross_origin(facts: Facts) -> Iterator[Hole]:
    """Every web site may read the answers (CWE-942)."""
    for call in facts.calls:
        if call.tail == "CORS" and not call.keywords.get("origins") and not call.keywords.get("resources"):
            yield hole("cors", call.node, 0.6, "CORS is open to every origin (CWE-942)")
        elif call.name in {"response.headers.add", "self.set_header", "resp.headers.add"} and _star(call):
            yield hole("cors", call.node, 0.65, "CORS is open to every origin (CWE-942)")
    for assign in facts.assigns:
        if "Access-Control-Allow-Origin" in assign.target and (assign.value.const == "*" or assign.value.outside):
            yield hole("cors", assign.node, 0.65, "CORS is open to every origin (CWE-942)")


def cookies(facts: Facts) -> Iterator[Hole]:
    """Cookies a script can read or a plain connection carries (CWE-1004, CWE-614)."""
    for call in facts.methods("set_cookie", "set_secure_cookie"):
        flags = [call.keywords.get(key) for key in ("httponly", "secure")]
        if any(flag is not None and flag.const is False for flag in flags):
            yield hole("cookie", call.node, 0.8, "A cookie with its protection switched off (CWE-1004)")
        elif all(flag is None for flag in flags) and "**" not in call.keywords and call.tail == "set_cookie":
            yield hole("cookie", call.node, 0.6, "A cookie without httponly and secure (CWE-1004)")
    for assign in facts.assigns:
        if assign.value.const is False and any(
            key in assign.target
            for key in ("COOKIE_SECURE", "COOKIE_HTTPONLY", "WTF_CSRF_ENABLED", "SECURE_SSL_REDIRECT")
        ):
            yield hole("cookie", assign.node, 0.75, f"{assign.target} is switched off (CWE-614)")


def forgery(facts: Facts) -> Iterator[Hole]:
    """Cross-site request forgery protection switched off (CWE-352)."""
    for function in facts.functions:
        for decorator in function.node.decorator_list:
            name = getattr(decorator, "attr", None) or getattr(decorator, "id", "")
            if name in {"csrf_exempt", "exempt"}:
                yield hole("csrf", decorator, 0.65, "Cross-site request forgery protection is switched off (CWE-352)")


def _star(call: Call) -> bool:
    return len(call.args) > 1 and call.args[0].const == "Access-Control-Allow-Origin" and call.args[1].const == "*"


RULES = (debug, all_interfaces, cross_origin, cookies, forgery)
