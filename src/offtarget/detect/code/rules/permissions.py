"""Files and folders everybody may write, or secrets everybody may read (CWE-732, CWE-276)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Facts, Hole, Value, hole

SHELL_MODE = re.compile(
    r"\bchmod\b.*?\s(?:0?[0-7]?[0-7][2367][0-7]\b|0?[0-7]?[0-7][0-7][2367]\b|(?:a|o|ugo|go)?\+[rx]*w)"
)


def changed_mode(facts: Facts) -> Iterator[Hole]:
    """chmod to a mode others may write with."""
    for call in facts.methods("chmod", "fchmod", "lchmod"):
        position = 1 if call.name.startswith("os.") or len(call.args) > 1 else 0
        mode = _mode(call.arg(position, "mode"))
        if mode is None:
            continue
        if mode & 0o022:
            who = "everybody" if mode & 0o002 else "the group"
            yield hole(
                "mode-writable", call.node, 0.97 if mode & 0o002 else 0.75, f"{who} may write: mode {mode:#o} (CWE-732)"
            )
        elif mode & 0o4000:
            yield hole("mode-setuid", call.node, 0.8, f"A setuid file: mode {mode:#o} (CWE-732)")
        elif mode & 0o005:
            yield hole("mode-readable", call.node, 0.3, f"Everybody may read: mode {mode:#o} (CWE-732)")


def created_mode(facts: Facts) -> Iterator[Hole]:
    """Files and folders made with a mode others may write with."""
    for call in facts.calls:
        if call.tail in {"makedirs", "mkdir", "mkfifo", "mknod"}:
            mode = _mode(call.keywords.get("mode") or (call.arg(1) if call.name.startswith("os.") else call.arg(0)))
        elif call.name == "os.open":
            mode = _mode(call.arg(2, "mode"))
        else:
            continue
        if mode is not None and mode & 0o002:
            yield hole("mode-created", call.node, 0.9, f"Made for everybody to write: mode {mode:#o} (CWE-732)")


def open_umask(facts: Facts) -> Iterator[Hole]:
    """A umask that lets others write."""
    for call in facts.called("os.umask"):
        mode = _mode(call.arg(0, "mask"))
        if mode is not None and not mode & 0o002:
            yield hole("umask", call.node, 0.9, f"umask {mode:#o} lets everybody write new files (CWE-276)")


def by_shell(facts: Facts) -> Iterator[Hole]:
    """chmod through a shell command or an argument list."""
    for call in facts.calls:
        if call.args and call.name.startswith(("os.", "subprocess.", "commands.")):
            text = call.args[0].text
            joined = _argument_list(call.node) or text
            if joined and "chmod" in joined and SHELL_MODE.search(joined):
                yield hole("mode-by-shell", call.node, 0.95, "chmod lets everybody write (CWE-732)")


def _argument_list(node: ast.Call) -> str:
    first = node.args[0]
    if not isinstance(first, ast.List | ast.Tuple):
        return ""
    return " ".join(str(e.value) if isinstance(e, ast.Constant) else "x" for e in first.elts)


def _mode(value: Value | None) -> int | None:
    if value is None or not isinstance(value.const, int) or isinstance(value.const, bool):
        return None
    return value.const if 0 <= value.const <= 0o177777 else None


RULES = (changed_mode, created_mode, open_umask, by_shell)
