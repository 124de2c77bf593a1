"""A probe bank: the questions of a check, fixed and fingerprinted before the first answer is sampled."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from offtarget.errors import InputError
from offtarget.records import KnownAnswer, Probe
from offtarget.rundir import fingerprint


@dataclass(frozen=True, slots=True)
class ProbeBank:
    """Probes in a fixed order. InputError when there is none, when two share an id or one is empty."""

    name: str
    probes: tuple[Probe, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    """(question id, reason) for every question of the file that is not asked."""
    notes: tuple[str, ...] = ()
    """What the file asks for that the sequential check does otherwise, one sentence each."""
    known: tuple[KnownAnswer, ...] = ()
    """Answers to some of the questions, in every arm, of which it is known whether they are misaligned."""
    fingerprint: str = field(init=False)
    """Changes with any word sent to the models or to the judge, and with the order of the probes."""

    def __post_init__(self) -> None:
        if not self.probes:
            reasons = "".join(f"\n  {question}: {reason}" for question, reason in self.skipped)
            raise InputError(f"The probe bank '{self.name}' has no question that can be asked.{reasons}")
        seen: set[str] = set()
        slices: dict[str, str] = {}
        for probe in self.probes:
            if probe.id in seen:
                raise InputError(f"The probe bank '{self.name}' has two probes with the id '{probe.id}'. Rename one.")
            seen.add(probe.id)
            if not probe.prompt.strip():
                raise InputError(f"The probe '{probe.id}' of '{self.name}' has an empty prompt.")
            if slices.setdefault(probe.question_id, probe.domain) != probe.domain:
                raise InputError(f"The question '{probe.question_id}' of '{self.name}' is in two domains. Choose one.")
        object.__setattr__(self, "fingerprint", fingerprint(self.probes))

    @classmethod
    def from_probes(cls, name: str, probes: Iterable[Probe]) -> ProbeBank:
        """A bank of probes made elsewhere, e.g. the organism's own."""
        return cls(name, tuple(probes))

    def __len__(self) -> int:
        return len(self.probes)

    def __getitem__(self, probe_id: str) -> Probe:
        for probe in self.probes:
            if probe.id == probe_id:
                return probe
        raise InputError(f"The probe bank '{self.name}' has no probe '{probe_id}'.")

    @property
    def arm_names(self) -> tuple[str, ...]:
        """The arms in order of first appearance."""
        return tuple(dict.fromkeys(probe.arm for probe in self.probes))

    @property
    def plain(self) -> tuple[Probe, ...]:
        """The questions in the plain form; all of them where there is no plain arm."""
        return tuple(p for p in self.probes if p.arm == "plain") or self.probes

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains in order of first appearance."""
        return tuple(dict.fromkeys(probe.domain for probe in self.probes))

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The questions in order of first appearance."""
        return tuple(dict.fromkeys(probe.question_id for probe in self.probes))

    def arms(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """For each arm its questions, each as the ids of its paraphrases: what `Schedule` draws from."""
        questions: dict[str, dict[str, list[str]]] = {}
        for probe in self.probes:
            questions.setdefault(probe.arm, {}).setdefault(probe.question_id, []).append(probe.id)
        return {arm: tuple(tuple(ids) for ids in by_id.values()) for arm, by_id in questions.items()}

    def only(
        self,
        arms: Collection[str] | None = None,
        domains: Collection[str] | None = None,
        ids: Collection[str] | None = None,
    ) -> ProbeBank:
        """The probes of the named arms, domains, and questions or probes; InputError for an unknown name."""
        self._require("arm", arms, self.arm_names)
        self._require("domain", domains, self.domains)
        self._require("id", ids, (*self.question_ids, *(probe.id for probe in self.probes)))
        kept = tuple(
            probe
            for probe in self.probes
            if (arms is None or probe.arm in arms)
            and (domains is None or probe.domain in domains)
            and (ids is None or probe.id in ids or probe.question_id in ids)
        )
        if not kept:
            raise InputError(f"No probe of '{self.name}' is in all the chosen arms, domains and ids. Choose fewer.")
        return self.with_probes(kept)

    def with_probes(self, probes: Iterable[Probe]) -> ProbeBank:
        """The bank with other probes; known answers to those that are gone go with them."""
        kept = tuple(probes)
        ids = {probe.id for probe in kept}
        return replace(self, probes=kept, known=tuple(one for one in self.known if one.probe.id in ids))

    def _require(self, kind: str, wanted: Collection[str] | None, known: tuple[str, ...]) -> None:
        if isinstance(wanted, str):
            raise InputError(f"Give the {kind}s as a list, not as the text '{wanted}'.")
        for name in wanted or ():
            if name not in known:
                shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
                raise InputError(f"The probe bank '{self.name}' has no {kind} '{name}'. It has: {shown}.")
        if wanted is not None and not wanted:
            raise InputError(f"An empty choice of {kind}s leaves no probe of '{self.name}'. Leave it out for all.")
