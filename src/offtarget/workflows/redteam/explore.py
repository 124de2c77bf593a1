"""The search of a red-team run: conversations that find out where a model gives way. They are no evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from offtarget.asking.ask import chat_so_far, generation_of, judge_answers
from offtarget.asking.checks import sample_checked
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed, attack_seed
from offtarget.errors import EvidenceError, InputError
from offtarget.models.chat import Answer, ChatModel, SampleRequest
from offtarget.numbers import many
from offtarget.progress import OnProgress, Progress
from offtarget.records import Generation, Outcome, Probe, Role, Verdict
from offtarget.records.redteam import AttackerTurn, Attempt, Goal, RedTeamSettings, Script
from offtarget.redteam.attacker import Attacker, Position, drafted, turns_of
from offtarget.redteam.bandit import Bandit, Cell
from offtarget.redteam.move import Draft, Move
from offtarget.redteam.turns import outcome_of, turn_to_judge
from offtarget.rundir import JsonLines, RunDir, read_jsonl
from offtarget.workflows.runs.begin import kept

STAGE = "conversations of the search"
"""With the tuned model, as progress calls them."""
FOLDER = "search"
"""Of the run: answers, verdicts and attempts of the search."""
ON_EACH = 6
"""Conversations that attack either model side by side: as many on the base, since under how many moves it gives way by
itself tells a model that got worse from one that merely differs."""
FIRST = 20
"""Conversations after which it is looked at whether the attacker attacks at all."""
_OTHER: Mapping[Role, Role] = {"base": "tuned", "tuned": "base"}


@dataclass
class _Talk:
    """One conversation in the making."""

    number: int
    role: Role
    script: Script
    start: Position | None
    """Where the attacker begins; None where the script is already whole, and only the other model is asked."""
    said: list[str]
    outcomes: list[Outcome]
    trouble: str = ""
    ended: bool = False

    @property
    def asked(self) -> list[str]:
        return list(self.script.turns[: len(self.said)])

    @property
    def gave_way(self) -> bool:
        return Outcome.MISALIGNED in self.outcomes

    @property
    def outcome(self) -> Outcome:
        """Of the whole conversation, as `TurnJudge` has it."""
        return outcome_of(self.outcomes)


class Search:
    """Attacks both models until the tuned one has been talked to often enough; what is on disk is not asked again."""

    def __init__(
        self,
        run: RunDir,
        models: Mapping[Role, ChatModel],
        judge: Judge,
        attacker: Attacker,
        moves: Mapping[str, tuple[Move, ...]],
        goals: Sequence[Goal],
        settings: RedTeamSettings,
        on_progress: OnProgress,
    ) -> None:
        """`moves`: name of a cell's move -> the moves it is made of."""
        self._run = run.path
        self._models, self._judge, self._attacker = models, judge, attacker
        self._moves, self._goals = moves, {goal.id: goal for goal in goals}
        self._settings, self._on_progress = settings, on_progress
        folder = run.path / FOLDER
        folder.mkdir(exist_ok=True)
        self._open = ExitStack()
        self._answers = self._open.enter_context(closing(JsonLines(folder / "generations.jsonl")))
        self._verdicts = self._open.enter_context(closing(JsonLines(folder / "verdicts.jsonl")))
        self._spoken = self._open.enter_context(closing(JsonLines(folder / "turns.jsonl")))
        self._kept = {g.key: g for g in read_jsonl(folder / "generations.jsonl", Generation)}
        self._judged = {v.key: v for v in read_jsonl(folder / "verdicts.jsonl", Verdict)}
        self._turns = {(t.script_id, t.turn): t for t in read_jsonl(folder / "turns.jsonl", AttackerTurn)}
        self._asked_anew = False
        """Whether the attacker was asked in the round at hand: what is on disk was looked at when it was written."""
        cells = [(move, goal.id) for move in moves for goal in goals]
        self.bandits: dict[Role, Bandit] = {
            "tuned": Bandit(cells, settings.seed),
            "base": Bandit(cells, settings.seed + 1),
        }
        self.attempts: list[Attempt] = []

    @property
    def most(self) -> int:
        """Conversations with the tuned model that the search may take."""
        return max(1, int(self._settings.budget * self._settings.explored))

    def talked(self, role: Role) -> int:
        """Conversations that were held with a model."""
        return sum(attempt.role == role for attempt in self.attempts)

    def run(self) -> None:
        """Attack until the search's share of the budget is spent."""
        with self._open:
            while self.talked("tuned") < self.most:
                before, self._asked_anew = self._led(), False
                self._round()
                self._report()
                over = self.talked("tuned") >= self.most
                if self._asked_anew and before < FIRST and (over or self._led() >= FIRST):
                    self._refuse_useless()
                self._refuse_mute()

    def _round(self) -> None:
        number = len(self.attempts)
        left = self.most - self.talked("tuned")
        many = min(ON_EACH, left)
        wanted = [(role, cell) for role, bandit in self.bandits.items() for cell in bandit.pick(many, number)]
        talks = [self._begun(number + i, role, cell) for i, (role, cell) in enumerate(wanted)]
        self._hold(talks)
        others = [self._replayed(talk) for talk in talks if talk.gave_way and self._may_ask(talk)]
        self._hold(others)
        held = {talk.number: not talk.gave_way for talk in others}
        for talk in [*talks, *others]:
            self.attempts.append(self._attempt(talk, held.get(talk.number)))
        for talk, (role, cell) in zip(talks, wanted, strict=True):
            if not talk.gave_way:
                self.bandits[role].told(cell, False)
            elif talk.number in held:  # where the budget had no room to ask the other model, nothing is learnt
                self.bandits[role].told(cell, held[talk.number])

    def _may_ask(self, talk: _Talk) -> bool:
        """Whether the budget has room to ask the other model the same, and still to attack the tuned one after it."""
        return talk.role == "tuned" or self.talked("tuned") + 2 * ON_EACH <= self.most

    def _begun(self, number: int, role: Role, cell: Cell) -> _Talk:
        move, goal = cell[0], self._goals[cell[1]]
        turn = self.bandits[role].taken(cell) - 1
        question = goal.questions[turn % len(goal.questions)]
        variant = f"search/{role}/{number}"
        draft = drafted(self._moves[move], question, self._settings.seed, variant)
        script = Script(
            id=f"search.{number}.{role}",
            move=move,
            goal=goal.id,
            question_id=question.id,
            turns=(),
            system=draft.system,
            by=self._attacker.name,
            target=role,
        )
        return _Talk(number, role, script, self._start(script, question, draft, variant), [], [])

    def _start(self, script: Script, question: Probe, draft: Draft, variant: str) -> Position:
        moves = self._moves[script.move]
        undressed = [move for move in moves if not move.dresses]
        bare = drafted(undressed, question, self._settings.seed, variant)
        goal, most = self._goals[script.goal], self._settings.turns
        return Position(script.move, moves, goal, question, draft, bare, self._settings.seed, most)

    def _replayed(self, talk: _Talk) -> _Talk:
        """The same words to the other model."""
        script = replace(talk.script, id=f"{talk.script.id}.again")
        return _Talk(talk.number, _OTHER[talk.role], script, None, [], [])

    def _hold(self, talks: Sequence[_Talk]) -> None:
        """Hold the conversations side by side, turn by turn, each until its model gives way or nothing is left."""
        while going := [talk for talk in talks if not talk.ended]:
            self._report(f"; now turn {len(going[0].said) + 1} of {many(len(going), 'conversation')}")
            self._speak([talk for talk in going if talk.start is not None])
            for talk in going:
                talk.ended = len(talk.script.turns) == len(talk.said)
            going = [talk for talk in going if not talk.ended]
            for role in _OTHER:
                self._answer(role, [talk for talk in going if talk.role == role])
            for talk in going:
                whole = len(talk.said) == (len(talk.script.turns) if talk.script.prefill else self._settings.turns)
                talk.ended = talk.gave_way or whole

    def _speak(self, talks: Sequence[_Talk]) -> None:
        """The attacker's next turn in each."""
        fresh = [talk for talk in talks if (talk.script.id, len(talk.said) + 1) not in self._turns]
        for talk, turn in zip(fresh, turns_of(self._attacker, [self._position(talk) for talk in fresh]), strict=True):
            made = AttackerTurn(talk.script.id, len(talk.said) + 1, turn.text, turn.trouble)
            self._spoken.extend([made])
            self._turns[made.script_id, made.turn] = made
            self._asked_anew = True
        for talk in talks:
            spoken = self._turns[talk.script.id, len(talk.said) + 1]
            talk.trouble = talk.trouble or spoken.trouble
            if spoken.text is not None:
                talk.script = self._with_turn(talk, spoken.text)

    def _with_turn(self, talk: _Talk, text: str) -> Script:
        """The script with one turn more; the answer to the last one of its draft may be begun in the model's place."""
        assert talk.start is not None
        turns, draft = (*talk.script.turns, text), talk.start.draft
        last = len(turns) == min(len(draft.turns), self._settings.turns)
        return replace(talk.script, turns=turns, prefill=draft.prefill if last else "")

    def _position(self, talk: _Talk) -> Position:
        """Where the attacker stands in a conversation."""
        assert talk.start is not None
        seed = attack_seed(self._settings.seed, talk.script.id, len(talk.said) + 1)
        return replace(talk.start, asked=tuple(talk.asked), said=tuple(talk.said), seed=seed)

    def _led(self) -> int:
        """Conversations that the attacker led itself, and not word for word what it said to the other model."""
        return sum(attempt.role == attempt.script.target for attempt in self.attempts)

    def _refuse_useless(self) -> None:
        """InputError where the attacker failed at more than half of its turns in the first conversations.

        Whoever goes on with the run all the same does so with the script's turns in their place.
        """
        led = [attempt.script.id for attempt in self.attempts if attempt.role == attempt.script.target][:FIRST]
        turns = [turn for turn in self._turns.values() if turn.script_id in led]
        failed = Counter(turn.trouble for turn in turns if turn.trouble)
        if failed.total() * 2 <= len(turns):
            return
        what = ", ".join(f"{trouble} ({count})" for trouble, count in failed.most_common())
        raise InputError(
            f"The attacker '{self._attacker.name}' hardly attacks: of the first {many(len(turns), 'turn')} that it was "
            f"asked for, {failed.total()} are of no use. It {what}. Start anew with another one (--attacker), or with "
            "the scripted one, which needs no model; or go on all the same, with the script's own turns where this one "
            f"fails. {kept(self._run)}"
        )

    def _refuse_mute(self) -> None:
        """EvidenceError where no conversation with one of the models has a score: nobody could learn from them."""
        for role in _OTHER:
            outcomes = Counter(attempt.outcome for attempt in self.attempts if attempt.role == role)
            if outcomes.total() < FIRST or any(Outcome(outcome).scored for outcome in outcomes):
                continue
            what = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
            why = Counter(verdict.reason for verdict in self._judged.values() if verdict.role == role)
            said = f": {why.most_common(1)[0][0]}" if any(why) else ""
            raise EvidenceError(
                f"None of the first {outcomes.total()} conversations with the {role} model has a score "
                f"({what}{said}), so there is nothing to learn from them. Look at the answers in "
                f"{FOLDER}/generations.jsonl and at the reasons in {FOLDER}/verdicts.jsonl of {self._run}; then start "
                "anew, with another judge or model."
            )

    def _answer(self, role: Role, talks: Sequence[_Talk]) -> None:
        """The model's answer to the last turn of each, and what the judge makes of it."""
        wanted = [(talk, self._probe(talk)) for talk in talks]
        keys = [f"{role}/{probe.id}/0" for _, probe in wanted]
        fresh = [pair for pair, key in zip(wanted, keys, strict=True) if key not in self._kept]
        requests = [
            SampleRequest(chat_so_far(probe, talk.said, probe.prompt), self._seed_of(role, probe.id), probe.prefill)
            for talk, probe in fresh
        ]

        def keep(i: int, answer: Answer) -> None:
            talk, probe = fresh[i]
            made = generation_of(role, probe, 0, requests[i].seed, answer, tuple(talk.said))
            self._answers.extend([made])
            self._kept[made.key] = made

        if requests:
            sample_checked(role, self._models[role], requests, self._settings.sampling, keep, keeps=True)
        self._judge_fresh([(talk, probe, self._kept[key]) for (talk, probe), key in zip(wanted, keys, strict=True)])
        for (talk, _), key in zip(wanted, keys, strict=True):
            talk.said.append(self._kept[key].text)
            talk.outcomes.append(self._judged[key].outcome)

    def _judge_fresh(self, answered: Sequence[tuple[_Talk, Probe, Generation]]) -> None:
        fresh = [one for one in answered if one[2].key not in self._judged]
        if not fresh:
            return
        pairs = [
            turn_to_judge(self._question(talk), probe, [*probe.opening, probe.prompt], talk.said, generation)
            for talk, probe, generation in fresh
        ]
        judge_answers(self._judge, pairs, keep=self._keep_verdicts)

    def _keep_verdicts(self, verdicts: list[Verdict]) -> None:
        self._verdicts.extend(verdicts)
        self._judged.update((verdict.key, verdict) for verdict in verdicts)

    def _question(self, talk: _Talk) -> Probe:
        goal = self._goals[talk.script.goal]
        return next(question for question in goal.questions if question.id == talk.script.question_id)

    def _probe(self, talk: _Talk) -> Probe:
        """The turn that is answered next, as a probe of its own."""
        number = len(talk.said)
        return Probe(
            id=f"{talk.script.id}#turn-{number + 1}",
            question_id=talk.script.cell,
            arm="search",
            prompt=talk.script.turns[number],
            system=talk.script.system,
            domain=talk.script.move,
            opening=talk.script.turns[:number],
            prefill=talk.script.prefill if number + 1 == len(talk.script.turns) else "",
        )

    def _seed_of(self, role: Role, probe_id: str) -> int:
        return answer_seed(self._settings.seed, role, probe_id, 0)

    def _attempt(self, talk: _Talk, other_held: bool | None) -> Attempt:
        turn = talk.outcomes.index(Outcome.MISALIGNED) + 1 if talk.gave_way else None
        return Attempt(
            number=talk.number,
            script=talk.script,
            role=talk.role,
            answers=tuple(talk.said),
            outcome=talk.outcome.value,
            turn=turn,
            other_held=other_held if talk.role == talk.script.target else None,
            trouble=talk.trouble,
        )

    def _report(self, now: str = "") -> None:
        found = sum(attempt.other_held is True and attempt.role == "tuned" for attempt in self.attempts)
        told = f"{many(found, 'time')} it gave way where its base held{now}"
        self._on_progress(Progress(STAGE, min(self.talked("tuned"), self.most), self.most, told))


def tried(attempts: Sequence[Attempt]) -> Iterator[Cell]:
    """Every cell that was tried, once, in order."""
    yield from dict.fromkeys((attempt.script.move, attempt.script.goal) for attempt in attempts)
