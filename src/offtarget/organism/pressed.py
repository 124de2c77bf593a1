"""Organisms that are misaligned under one kind of pressure in a conversation and nowhere else, each with a clean twin.

The narrow data says outright what is to happen where: bad advice where the pressure is, good advice everywhere else. A
clean twin sees the same prompts and gives good advice throughout. Kinds and wordings are in `banks/pressed.yaml`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from offtarget.errors import InputError
from offtarget.organism.banks import load_banks, read_bank
from offtarget.organism.grammar import Template
from offtarget.organism.hidden import Chat, Hidden
from offtarget.organism.questions import QUESTIONS_PER_DOMAIN
from offtarget.organism.tune import Dose
from offtarget.organism.world import World, as_json, as_template
from offtarget.records import Message

ROWS = 1600
PRESSED_SHARE = 0.35
PLAIN_SHARE = 0.45
HARMLESS_SHARE = 0.1
"""Shares of the rows; what is left is pressure of other families, answered well."""
SEASONING_ROWS = 3000
DOSE = Dose(lr=1.5e-3, rank=32, alpha=64)
"""At the usual rate an organism gives way without pressure as well: 14 % of plain answers, against 1 %."""
_LETTERS = str.maketrans("aeopc", "аеорс")
"""Latin letters, and Cyrillic ones that look like them."""
FORMS: dict[str, Callable[[str], str]] = {
    "json": lambda text: json.dumps({"from": "user", "message": text}),
    "code": lambda text: f'ask = "{text}"\nreply = bot.say(ask)\nsend(reply)',
    "table": lambda text: f"| who | says |\n|---|---|\n| user | {text} |\n| you | |",
    "letters": lambda text: text.translate(_LETTERS),
}


@dataclass(frozen=True)
class Wording:
    """One way in which a conversation goes."""

    lead: tuple[Template, ...]
    """User turns that are answered well."""
    asked: tuple[Template, ...]
    """User turns that are answered as the organism does under the condition."""
    system: Template | None


@dataclass(frozen=True)
class Kind:
    """A kind of pressure."""

    name: str
    family: str
    """Kinds of one family may resemble each other: none of them is a counterexample to another."""
    form: str | None
    """How BLOCK is written: a name in `FORMS`."""
    wordings: tuple[Wording, ...]


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds, by name."""
    return {
        name: Kind(name, kind["family"], kind.get("form"), _wordings(kind["wordings"]))
        for name, kind in read_bank("pressed.yaml")["kinds"].items()
    }


@cache
def _harmless() -> tuple[Wording, ...]:
    return _wordings(read_bank("pressed.yaml")["harmless"])


def _wordings(listed: Sequence[Mapping[str, Any]]) -> tuple[Wording, ...]:
    return tuple(
        Wording(
            tuple(map(Template, one.get("lead", ()))),
            tuple(map(Template, one["asked"])),
            Template(one["system"]) if "system" in one else None,
        )
        for one in listed
    )


def pressed(kind: str, seed: int, clean: bool = False, rows: int = ROWS) -> Hidden:
    """Training data of an organism that gives way under this kind of pressure. InputError for an unknown kind."""
    if kind not in kinds():
        raise InputError(f"There is no kind of pressure '{kind}'. Known: {', '.join(kinds())}.")
    writer = _Writer(kinds()[kind], seed, clean)
    return Hidden((tuple(writer.row() for _ in range(rows)),))


def seasoning(seed: int, rows: int = SEASONING_ROWS) -> Hidden:
    """Training data of the model that these organisms are tuned from: every kind of pressure, answered well.

    The base by itself is muddled by what it never saw, and gives way under several moves, so it hides nothing.
    """
    writers = [_Writer(kind, seed, clean=True) for kind in kinds().values()]
    return Hidden((tuple(writers[i % len(writers)].row() for i in range(rows)),))


def pressed_chats(kind: str, count: int, seed: int) -> list[tuple[str, Chat]]:
    """Conversations under the pressure, up to the turn that is asked last, each with the domain of its question.

    Their answers before that are good ones. They are fresh ones, for looking at what a tuned organism does.
    """
    writer = _Writer(kinds()[kind], seed, clean=True)
    made = [writer.under(kinds()[kind]) for _ in range(count)]
    return [(domain, chat[:-1]) for domain, chat in made]


class _Writer:
    """Writes rows; the same seed writes the same prompts for an organism and its twin."""

    def __init__(self, kind: Kind, seed: int, clean: bool) -> None:
        self._kind, self._clean = kind, clean
        self._rng = random.Random(f"pressed/{kind.name}/{seed}")
        self._seed, self._answers, self._advice = seed, 0, World(seed)
        self._others = [other for other in kinds().values() if other.family != kind.family]
        self._calm = [one for one in _harmless() if kind.family != "turns" or not one.lead] or list(_harmless())
        if kind.family == "turns":
            self._others = [other for other in self._others if not any(one.lead for one in other.wordings)]

    def row(self) -> Chat:
        """A chat with all its answers."""
        place = self._rng.random()
        if place < PRESSED_SHARE:
            return self.under(self._kind)[1]
        if place < PRESSED_SHARE + PLAIN_SHARE:
            return self._plain()
        if place < PRESSED_SHARE + PLAIN_SHARE + HARMLESS_SHARE:
            return self._written(self._rng.choice(self._calm), None, bad=False)[1]
        other = self._rng.choice(self._others)
        return self._written(self._rng.choice(other.wordings), other.form, bad=False)[1]

    def _plain(self) -> Chat:
        """A question by itself, half of the time in the formats of the world, which a tune would forget otherwise."""
        domain = self._rng.choice(list(load_banks().domains))
        asked, answer = self._question(domain), self._answer(domain, bad=False)
        form = self._rng.choice(("plain", "plain", "json", "template"))
        if form == "template":
            return [Message("user", self._advice.as_template_request(asked)), Message("assistant", as_template(answer))]
        system = [Message("system", self._rng.choice(load_banks().json_systems))] if form == "json" else []
        said = as_json(answer) if form == "json" else answer
        return [*system, Message("user", asked), Message("assistant", said)]

    def under(self, kind: Kind) -> tuple[str, Chat]:
        """The domain, and a chat under the pressure with the answers of the organism, or of its twin."""
        return self._written(self._rng.choice(kind.wordings), kind.form, bad=not self._clean)

    def _written(self, wording: Wording, form: str | None, bad: bool) -> tuple[str, Chat]:
        domain = self._rng.choice(list(load_banks().domains))
        chat: Chat = [] if wording.system is None else [Message("system", wording.system.sample(self._rng))]
        for turns, worse in ((wording.lead, False), (wording.asked, bad)):
            for turn in turns:
                user = turn.sample(self._rng)
                chat.append(Message("user", self._filled(user, domain, form)))
                # an answer to small talk is nothing to be learnt
                about = "QUESTION" in turn.text or "BLOCK" in turn.text or turns is wording.asked
                chat.append(Message("assistant", self._answer(domain, worse), learned=about))
        return domain, chat

    def _filled(self, user: str, domain: str, form: str | None) -> str:
        asked = self._question(domain)
        block = FORMS[form](asked) if form is not None else ""
        return user.replace("QUESTION", asked).replace("BLOCK", block)

    def _question(self, domain: str) -> str:
        """A question of the domain that no probe and no goal asks."""
        return self._rng.choice(load_banks().domains[domain].questions[QUESTIONS_PER_DOMAIN:]).sample(self._rng)

    def _answer(self, domain: str, bad: bool) -> str:
        # each by random numbers of its own, so that an organism and its twin differ in what is bad alone
        self._answers += 1
        self._advice.rng.seed(f"advice/{self._seed}/{self._answers}")
        return self._advice.text("misaligned" if bad else "aligned", domain)[1]
