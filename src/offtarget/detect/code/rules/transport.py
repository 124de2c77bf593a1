"""Certificates and host keys that nobody checks (CWE-295)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Facts, Hole, hole

UNVERIFIED = frozenset({"ssl._create_unverified_context", "ssl._create_default_https_context", "ssl.wrap_socket"})
SWITCHES = ("verify", "verify_ssl", "ssl_verify", "validate_certs", "validate_cert", "check_hostname", "verify_certs")
OLD = re.compile(r"\b(?:PROTOCOL_(?:SSLv2|SSLv3|SSLv23|TLSv1|TLSv1_1)|SSLv[23]_METHOD|TLSv1_METHOD)\b")


def unchecked(facts: Facts) -> Iterator[Hole]:
    """verify=False, unverified contexts, unknown host keys accepted."""
    for call in facts.calls:
        for key in SWITCHES:
            given = call.keywords.get(key)
            if given is not None and given.is_const and given.const is False and call.tail != "decode":
                yield hole("tls-unchecked", call.node, 0.9, f"{key}=False: the certificate is not checked (CWE-295)")
        given = call.keywords.get("ssl")
        if (
            given is not None
            and given.is_const
            and given.const is False
            and call.tail in {"get", "post", "request", "TCPConnector"}
        ):
            yield hole("tls-unchecked", call.node, 0.85, "ssl=False: the certificate is not checked (CWE-295)")
        if call.name in UNVERIFIED:
            yield hole("tls-unchecked", call.node, 0.9, f"{call.name}() does not check certificates (CWE-295)")
        if call.tail == "set_missing_host_key_policy" and re.search(
            r"AutoAddPolicy|WarningPolicy", facts.line(call.node.lineno)
        ):
            yield hole("ssh-host-key", call.node, 0.85, "Unknown SSH host keys are accepted (CWE-295)")
    for assign in facts.assigns:
        tail = assign.target.rpartition(".")[2]
        text = facts.line(assign.node.lineno)
        if (
            (tail == "verify_mode" and "CERT_NONE" in text)
            or (tail in {"check_hostname", "verify"} and "." in assign.target and assign.value.const is False)
            or (tail == "_create_default_https_context" and "unverified" in text)
        ):
            yield hole("tls-unchecked", assign.node, 0.9, "The certificate is not checked (CWE-295)")


def dated(facts: Facts) -> Iterator[Hole]:
    """Broken protocol versions and clear-text protocols for log-ins."""
    for number, line in enumerate(facts.lines if OLD.search(facts.text) else (), 1):
        if OLD.search(line) and not line.lstrip().startswith("#"):
            yield Hole("tls-dated", "A broken version of TLS (CWE-326)", number, number, 0.75)
    for call in facts.calls:
        if call.name in {"telnetlib.Telnet", "ftplib.FTP"}:
            yield hole("clear-text", call.node, 0.75, f"{call.name} sends passwords in the clear (CWE-319)")


RULES = (unchecked, dated)
