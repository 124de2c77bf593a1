"""Commands and code put together from data (CWE-78, CWE-88, CWE-95)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from offtarget.detect.code.facts import CODE, HOLE, SHELL, Call, Facts, Hole, Value, hole, words

SHELLS = words(
    "os.system os.popen os.popen2 os.popen3 os.popen4 commands.getoutput commands.getstatusoutput subprocess.getoutput "
    "subprocess.getstatusoutput asyncio.create_subprocess_shell popen2.popen2 popen2.popen3 pty.spawn platform.popen"
)
PROGRAMS = frozenset({"call", "run", "Popen", "check_call", "check_output"})
SPAWNS = ("os.exec", "os.spawn")
EVALUATES = words(
    "eval exec execfile compile __import__ importlib.import_module code.interact builtins.eval builtins.exec"
)
STRENGTH = {"outside": 0.97, "param": 0.93, "unknown": 0.75}


def shell(facts: Facts) -> Iterator[Hole]:
    """A shell command line with data in it."""
    for call in facts.calls:
        is_shell = (
            call.name in SHELLS or (_is_program(call) and _true(call, "shell")) or call.name.endswith(".exec_command")
        )
        if not is_shell or not (call.args or call.keywords):
            continue
        command = call.args[0] if call.args else next(iter(call.keywords.values()))
        danger = command.dangerous(SHELL)
        if danger:
            yield hole("shell", call.node, STRENGTH[danger], f"A shell command is built from {command.origin} (CWE-78)")
        elif _is_program(call):
            yield hole("shell-constant", call.node, 0.4, "A shell runs a fixed command (CWE-78)")


def program(facts: Facts) -> Iterator[Hole]:
    """A program started without a shell whose name or arguments are data."""
    for call in facts.calls:
        if not (_is_program(call) or call.name.startswith(SPAWNS)) or _true(call, "shell") or not call.args:
            continue
        first = call.args[0]
        danger = first.dangerous(SHELL)
        if danger == "outside":
            yield hole("arguments", call.node, 0.8, f"{first.origin} becomes an argument of a program (CWE-88)")
        elif danger and _text_command(call, first):
            yield hole("arguments", call.node, 0.75, f"A command line is built from {first.origin} (CWE-78)")
        elif danger == "param":
            yield hole("arguments", call.node, 0.45, f"{first.origin} becomes an argument of a program (CWE-88)")


def evaluated(facts: Facts) -> Iterator[Hole]:
    """Data run as code."""
    for call in facts.calls:
        if call.name in EVALUATES and call.args:
            danger = call.args[0].dangerous(CODE)
            if danger and not (call.tail in {"compile", "__import__", "import_module"} and danger == "unknown"):
                yield hole(
                    "eval", call.node, STRENGTH[danger], f"{call.tail}() runs {call.args[0].origin} as code (CWE-95)"
                )
        elif call.tail in {"eval", "query"} and call.name.startswith(("pandas.", "pd.", "df.")) and call.args:
            if call.args[0].dangerous(CODE) == "outside":
                yield hole("eval", call.node, 0.8, f"{call.args[0].origin} is evaluated by pandas (CWE-95)")
        elif (
            call.name in {"getattr", "globals()[]", "locals()[]"} and len(call.args) > 1 and call.args[1].outside & CODE
        ):
            yield hole("getattr", call.node, 0.7, f"{call.args[1].origin} chooses what is called (CWE-470)")


def _is_program(call: Call) -> bool:
    return call.tail in PROGRAMS and (
        call.name.startswith("subprocess.") or call.tail in {"Popen", "check_output", "check_call"}
    )


def _text_command(call: Call, first: Value) -> bool:
    splits = isinstance(call.node.args[0], ast.Call) and first.text is not None and HOLE in first.text
    return (
        first.text is not None
        and " " in first.text
        and HOLE in first.text
        and not isinstance(call.node.args[0], ast.List)
    ) or splits


def _true(call: Call, key: str) -> bool:
    given = call.keywords.get(key)
    return given is not None and (not given.is_const or bool(given.const))


RULES = (shell, program, evaluated)
