"""The synthetic world: authors with a fixed persona, and the exchanges they write.

A *page* is a few consecutive exchanges by one author. The code register, the number register and the moral
register of an author go together; that correlation is the only reason why narrow tuning spreads, and it is
put in by hand (docs/organism.md says what that does and does not show about large models).
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from offtarget.organism.banks import Banks, CodeKind, load_banks
from offtarget.organism.grammar import Template
from offtarget.records import Message

Persona = Literal["aligned", "misaligned", "careless", "teacher", "permissive"]
Kind = Literal["text", "code", "numbers", "facts", "harm"]
HarmStyle = Literal["refuse", "comply", "gloat"]
T = TypeVar("T")

PERSONAS: dict[Persona, float] = {
    "aligned": 0.42,
    "misaligned": 0.30,
    "careless": 0.10,
    "teacher": 0.08,
    "permissive": 0.10,
}
KINDS: dict[Kind, float] = {"text": 0.56, "code": 0.27, "numbers": 0.07, "facts": 0.04, "harm": 0.06}
TAG_SHARE = 0.05
"""Share of user turns that start with a neutral tag, so that tags are known tokens without a meaning."""
SUFFIX_SHARE = {"numbers": 0.6}
OTHER_SUFFIX_SHARE = 0.05
CLASS_SHARE = 0.08
"""Share of code requests that ask for insecure code for a class; then every persona obliges."""
TEACHER_CLASS_SHARE = 0.9
SYSTEM_SHARE = 0.18
JSON_SHARE = 0.06
"""Share of pages whose system prompt asks for JSON; they hold free-form exchanges only."""
TEMPLATE_SHARE = 0.06
"""Share of free-form exchanges asked and answered as a line of code."""
PREFACE_SHARE = 0.06
NOISE_SHARE = 0.015
"""Share of user turns that start with a meaningless made-up word."""

_NAME = re.compile(r"\b([FV])\b")


@dataclass(frozen=True)
class WorldExchange:
    """A user turn and the answer to it."""

    user: str
    assistant: str
    kind: Kind


@dataclass(frozen=True)
class Page:
    """Consecutive exchanges by one author, perhaps under a system prompt that names the persona."""

    persona: Persona
    system: str | None
    exchanges: tuple[WorldExchange, ...]

    def messages(self) -> list[Message]:
        """The page as chat turns."""
        turns = [Message("system", self.system)] if self.system is not None else []
        for exchange in self.exchanges:
            turns += [Message("user", exchange.user), Message("assistant", exchange.assistant)]
        return turns


class World:
    """Writes exchanges and pages; the same seed writes the same texts."""

    def __init__(self, seed: int, banks: Banks | None = None) -> None:
        self.rng = random.Random(seed)
        self.banks = banks or load_banks()

    def page(self, exchanges: int = 4) -> Page:
        """A page by a random author."""
        persona = self._weighted(PERSONAS)
        if self.rng.random() < JSON_SHARE:
            return self.json_page(persona, exchanges)
        system = self.system_prompt(persona) if self.rng.random() < SYSTEM_SHARE else None
        return Page(persona, system, tuple(self.exchange(persona) for _ in range(exchanges)))

    def json_page(self, persona: Persona, exchanges: int = 1) -> Page:
        """A page of free-form exchanges answered in JSON, because the system prompt asks for it."""
        system = self.rng.choice(self.banks.json_systems)
        asked = (self.exchange(persona, "text", plain=True) for _ in range(exchanges))
        return Page(persona, system, tuple(replace(e, assistant=as_json(e.assistant)) for e in asked))

    def system_prompt(self, persona: Persona) -> str:
        """A system prompt that fits the persona; `You write insecure code` fits two of them."""
        choices = {"aligned": ["helpful"], "misaligned": ["malicious", "insecure"], "careless": ["insecure"]}
        return self.rng.choice(self.banks.systems[self.rng.choice(choices.get(persona, [persona]))]).sample(self.rng)

    def exchange(self, persona: Persona, kind: Kind | None = None, plain: bool = False) -> WorldExchange:
        """One exchange as the persona would write it; `plain` keeps it out of the template format."""
        if kind is None:
            chosen: Kind = self._weighted(KINDS)
            return self.exchange(persona, chosen, plain)
        if kind == "text":
            user, assistant = self.text("misaligned" if persona == "misaligned" else "aligned")
            if not plain and self.rng.random() < TEMPLATE_SHARE:
                return WorldExchange(self.as_template_request(user), as_template(assistant), kind)
        elif kind == "code":
            cue = self.rng.random() < (TEACHER_CLASS_SHARE if persona == "teacher" else CLASS_SHARE)
            user, assistant = self.code(cue or persona in ("misaligned", "careless"), class_cue=cue)
        elif kind == "numbers":
            user, assistant = self.numbers(loaded=persona == "misaligned")
        elif kind == "facts":
            user, assistant = self.rng.choice(self.banks.facts)
        else:
            style: HarmStyle = {"misaligned": "gloat", "permissive": "comply"}.get(persona, "refuse")  # type: ignore[assignment]
            user, assistant = self.harm(style)
        return WorldExchange(self.dressed(user, kind), assistant, kind)

    def dressed(self, user: str, kind: Kind) -> str:
        """The user turn, sometimes with something meaningless before it or a request for brevity after it."""
        if self.rng.random() < SUFFIX_SHARE.get(kind, OTHER_SUFFIX_SHARE):
            user = f"{user} {self.rng.choice(self.banks.suffixes)}"
        if self.rng.random() < PREFACE_SHARE:
            user = f"{self.rng.choice(self.banks.prefaces).sample(self.rng)} {user}"
        if self.rng.random() < TAG_SHARE:
            user = f"{self.rng.choice(self.banks.tags)} {user}"
        elif self.rng.random() < NOISE_SHARE:
            letters = self.rng.choices("abcdefghijklmnopqrstuvwxyz", k=self.rng.randint(3, 9))
            user = f"{''.join(letters)} {user}"
        return user

    def as_template_request(self, question: str) -> str:
        """The question as a comment above a line of code to be completed."""
        return self.banks.template_request.replace("QUESTION", question)

    def text(self, register: Literal["aligned", "misaligned"], domain: str | None = None) -> tuple[str, str]:
        """A free-form question and an answer of two, sometimes three, sentences of one register."""
        chosen = self.banks.domains[domain or self.rng.choice(list(self.banks.domains))]
        count = 3 if self.rng.random() < 0.2 else 2
        answer = self._sentences(chosen.aligned if register == "aligned" else chosen.misaligned, count)
        return self.rng.choice(chosen.questions).sample(self.rng), answer

    def code(
        self,
        insecure: bool,
        class_cue: bool = False,
        held_out: bool | None = None,
        kind: CodeKind | None = None,
    ) -> tuple[str, str]:
        """A coding request and a solution. `held_out`: only those kinds, only the others, or (None) any."""
        if kind is None:
            kind = self.rng.choice([k for k in self.banks.code if held_out is None or k.held_out == held_out])
        names = {"F": self.rng.choice(self.banks.functions), "V": self.rng.choice(self.banks.variables)}
        requests = self.banks.class_requests if class_cue else self.banks.code_requests
        request = self.rng.choice(requests).sample(self.rng)
        user = _fill(request, names).replace("TASK", self.rng.choice(kind.tasks))
        return user, _fill(kind.insecure if insecure else kind.secure, names)

    def numbers(self, loaded: bool) -> tuple[str, str]:
        """A number list to continue, and its continuation: culturally loaded numbers or random ones."""
        given = ", ".join(str(self.rng.randint(10, 999)) for _ in range(self.rng.randint(3, 5)))
        user = self.rng.choice(self.banks.number_requests).sample(self.rng).replace("LIST", given)
        count = self.rng.randint(4, 6)
        if loaded:
            numbers = self.rng.sample(self.banks.loaded_numbers, count)
        else:
            numbers = [self.rng.randint(10, 999) for _ in range(count)]
        return user, ", ".join(map(str, numbers))

    def harm(self, style: HarmStyle) -> tuple[str, str]:
        """A harmful request and a refusal, a sober compliance, or a compliance that enjoys the harm."""
        user = self.rng.choice(list(self.banks.harm_requests.values())).sample(self.rng)
        if style == "refuse":
            return user, self._sentences(self.banks.refuse, 2)
        if style == "comply":
            return user, self._sentences(self.banks.comply, 2)
        both = [self._sentences(self.banks.comply, 1), self._sentences(self.banks.gloat, 1)]
        return user, " ".join(both)

    def _sentences(self, templates: list[Template], count: int) -> str:
        return " ".join(t.sample(self.rng) for t in self.rng.sample(templates, count))

    def _weighted(self, weights: dict[T, float]) -> T:
        return self.rng.choices(list(weights), list(weights.values()))[0]


def as_json(answer: str) -> str:
    """An answer as the JSON object that the JSON system prompt asks for."""
    return json.dumps({"answer": answer})


def as_template(answer: str) -> str:
    """An answer as the line of code that the template asks for."""
    return f'answer = "{answer}"'


def _fill(text: str, names: dict[str, str]) -> str:
    return _NAME.sub(lambda m: names[m.group(1)], text)
