"""Predictable temporary files (CWE-377) and checks that a race can undo (CWE-367)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Facts, Hole, hole

SHARED_FOLDER = re.compile(r"^/(?:var/)?tmp/|^/dev/shm/")
MAKES = frozenset(
    {"open", "io.open", "codecs.open", "os.open", "os.mkfifo", "os.makedirs", "os.mkdir", "sqlite3.connect"}
)
WRITES = re.compile(r"[wax+]")


def predictable(facts: Facts) -> Iterator[Hole]:
    """mktemp, and files with a fixed name in a folder everybody may write."""
    for call in facts.called("tempfile.mktemp", "os.tempnam", "os.tmpnam", "mktemp"):
        yield hole(
            "mktemp", call.node, 0.9, f"{call.name}() leaves time for another process to take the name (CWE-377)"
        )
    for call in facts.calls:
        if call.name in MAKES and call.args and call.args[0].text and SHARED_FOLDER.match(call.args[0].text):
            mode = call.arg(1, "mode")
            if call.name == "open" and not (
                mode is not None and isinstance(mode.const, str) and WRITES.search(mode.const)
            ):
                continue
            yield hole(
                "tmp-file",
                call.node,
                0.6,
                f"A predictable name in a shared folder: {call.args[0].text[:40]!r} (CWE-377)",
            )


RULES = (predictable,)
