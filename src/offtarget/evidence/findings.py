"""What checking a piece of evidence came to: each thing is proved, only claimed, or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.numbers import many

Standing = Literal["proved", "claimed", "wrong"]
Kind = Literal["run", "adapter", "package"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    """In a word or two: `signature`, `files`, `verdict`, `weights: tuned`."""
    standing: Standing
    said: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether evidence is what it says it is."""

    kind: Kind
    path: str
    name: str
    """Of the run, or of the folder."""
    findings: tuple[Finding, ...]
    signed: bool
    """Whether a signature by the given key was checked and holds."""
    recomputed: bool
    """Whether the verdict was worked out again, and is the recorded one; also where there is none to work out."""
    verdict: str = ""
    """As recorded: PASS, FAIL, UNDECIDED, OK, ALARM or DONE; empty for an adapter."""
    not_covered: tuple[str, ...] = ()
    """Files that no statement speaks of: reports that were written later."""

    def of(self, standing: Standing) -> tuple[Finding, ...]:
        """The findings of that standing."""
        return tuple(one for one in self.findings if one.standing == standing)

    @property
    def state(self) -> Standing:
        """`wrong` where anything is, `proved` where the signature holds and the verdict follows, else `claimed`."""
        if self.of("wrong"):
            return "wrong"
        return "proved" if self.signed and self.recomputed else "claimed"

    @property
    def exit_code(self) -> int:
        """0 proved, 1 something is wrong, 3 only claimed."""
        return {"proved": 0, "wrong": 1, "claimed": 3}[self.state]

    @property
    def _who(self) -> str:
        by_sigstore = any(one.about == "sigstore" for one in self.of("proved"))
        return "this identity" if by_sigstore else "the owner of this key"

    @property
    def sentence(self) -> str:
        """What is proved, in one sentence."""
        wrong = self.of("wrong")
        if wrong:
            return f"This {self.kind} is not what it says it is: {many(len(wrong), 'thing is', 'things are')} wrong."
        if self.kind == "adapter":
            if self.signed:
                return "Proved: every file of this adapter is as it was when the owner of this key signed it."
            return "Nothing is proved about this adapter: no signature was checked."
        if self.verdict == "DONE":
            without = "A run like this one has no verdict; that what it says follows from its records was not checked."
            if self.signed:
                return f"Proved: this {self.kind} is as {self._who} signed it. {without}"
            return f"Nothing is proved about this {self.kind}: no signature was checked. {without}"
        verdict = f"the verdict {self.verdict} follows from its records" if self.verdict else "its records are whole"
        if self.signed and self.recomputed:
            return f"Proved: this {self.kind} is as {self._who} signed it, and {verdict}."
        if self.signed:
            return (
                f"Proved: this {self.kind} is as {self._who} signed it. That {verdict} is only claimed: it "
                "was not worked out again."
            )
        if self.recomputed:
            return f"Proved: {verdict}. Who made this {self.kind}, and that nobody changed it since, is only claimed."
        return f"Nothing is proved about this {self.kind}: no signature was checked and no verdict worked out again."
