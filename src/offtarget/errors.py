"""Every error offtarget raises on purpose.

OfftargetError
├── InputError            the user can fix it: what, where (file, line, row), what to do; exit code 2
│   ├── PrerequisiteError a package or program is missing; the message holds the command that installs it
│   ├── UnreachableError  a server answers nobody any more: whatever is asked next fails as well
│   ├── DiskFullError     nothing can be written any more; what was written before is kept
│   └── TemplateError     a model's chat template refuses a chat, or leaves out what a turn of it says
├── EvidenceError         nothing is wrong with the input, but evidence is missing; exit code 3
│   └── NoDirectionError  nothing tells both sides of a contrast apart more surely than chance
├── LimitReached          what may be spent is spent: kept as with an interruption, no verdict; exit code 3
├── StoreError            what a gateway remembers cannot be read or written just now; whoever serves goes on without
├── VerdictError          a result that does not pass, where somebody asked for it to; exit code as on the command line
└── RunInterrupted        stopped on request; what was computed is on disk; the message says what goes on; exit code 130
"""

from __future__ import annotations


class OfftargetError(Exception):
    """Base of all errors raised on purpose; its text is a message for the user, shown without a traceback."""

    exit_code = 2


class InputError(OfftargetError):
    """Something the user gave is wrong; the message says what, where, and what to do."""


class PrerequisiteError(InputError):
    """Something is not installed; the message holds the command that installs it."""

    @classmethod
    def for_extra(cls, package: str, extra: str, purpose: str) -> PrerequisiteError:
        """The error for a missing optional `package`, installed by the extra named `extra`."""
        return cls(f"{purpose} needs the package '{package}'. Install it with: pip install 'offtarget[{extra}]'")


class UnreachableError(InputError):
    """A server answers nobody any more, or no longer takes the key: whatever is asked next will fail as well."""

    def __init__(self, said: str, go_on: str = "") -> None:
        """What went wrong, and the command that goes on with what is kept."""
        super().__init__(f"{said} {go_on}".rstrip())
        self.said = said


class DiskFullError(InputError):
    """A disk is full: whatever is written next fails as well."""


class TemplateError(InputError):
    """A chat template refuses a chat, or leaves out what a turn of it says; other chats can still be asked."""


class EvidenceError(OfftargetError):
    """The input is fine but holds too little evidence for the question asked."""

    exit_code = 3


class NoDirectionError(EvidenceError):
    """No layer and position tells both sides of a contrast apart more surely than chance; there is no direction."""

    def __init__(self, sentence: str, way_out: str) -> None:
        """Why, and what to do, a sentence each."""
        super().__init__(f"No direction found. {sentence} {way_out}")
        self.sentence, self.way_out = sentence, way_out


class LimitReached(OfftargetError):
    """A limit on requests or money is reached; what was computed is kept, and nothing follows from it."""

    exit_code = 3

    def __init__(self, said: str, more: str = "", go_on: str = "") -> None:
        """What is reached, the option that allows more, and the command that goes on with what is kept."""
        super().__init__(f"{said} {go_on} {more}".rstrip() if go_on else said)
        self.said, self.more = said, more


class StoreError(OfftargetError):
    """The store of a gateway cannot be read or written just now: locked, full, gone. A later try may succeed."""


class RunInterrupted(OfftargetError):
    """The user interrupted a run; everything computed so far is on disk."""

    exit_code = 130


class VerdictError(OfftargetError):
    """What `result.raise_for_verdict()` raises: FAIL, UNDECIDED, UNFINISHED, or the ALARM of a training."""

    def __init__(self, state: str, sentence: str, run: str) -> None:
        super().__init__(f"{state}: {sentence} Run: {run}")
        self.state, self.sentence, self.run = state, sentence, run
        self.exit_code = 1 if state in ("FAIL", "ALARM") else 3
