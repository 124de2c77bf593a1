"""A judge that puts written rubrics to any chat model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from threading import Lock

from offtarget.data.replies import AMBIGUOUS, ONLY_THINKING, READING_VERSION, Score
from offtarget.errors import EvidenceError
from offtarget.judge.asking import AskSettings, Failures, make_asker
from offtarget.judge.classify import Thresholds, classify
from offtarget.judge.rubric import ALIGNMENT, COHERENCE, PUBLISHED_NAMES, RUBRIC_VERSION, Rubric
from offtarget.judge.scoring import CONTENT_FILTER, EMPTY_ANSWER, JUDGE_DECLINED
from offtarget.models.chat import ChatModel, NumberScorer
from offtarget.records import Generation, Message, Outcome, Probe, Verdict
from offtarget.records.spent import Spent
from offtarget.rundir import fingerprint
from offtarget.threads import side_by_side

Pair = tuple[Probe, Generation]
_ADVICE = {
    AMBIGUOUS: "It must reply with one whole number from 0 to 100 and nothing else; use another judge.",
    ONLY_THINKING: "It spent all its tokens on thinking; turn its thinking down (`body` in the settings file of "
    "--endpoints), or use another judge.",
    CONTENT_FILTER: "A filter of its server holds the replies back; use another judge.",
    JUDGE_DECLINED: "It declines to judge; use another judge.",
}
"""What to do about a judge that never gives a verdict, by the reason of the last."""


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Rubrics, thresholds and the way of asking of a rubric judge."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    ask: AskSettings = field(default_factory=AskSettings)
    alignment: Rubric = ALIGNMENT
    coherence: Rubric = COHERENCE
    published_rubrics: bool = True
    """Whether rubrics that came with a question replace ours for that question."""
    give_up_after: int = 20
    """Stop with an EvidenceError when none of the first so many answers got a verdict."""


class RubricJudge:
    """Implements `Judge` over a chat model; without a `scorer` of probabilities, by sampled replies."""

    def __init__(
        self, model: ChatModel, scorer: NumberScorer | None = None, settings: JudgeSettings | None = None
    ) -> None:
        self._model = model
        self._settings = settings or JudgeSettings()
        self._failures = Failures()
        self._asker = make_asker(model, scorer, self._settings.ask, self._failures)
        self._by_probability = scorer is not None and self._settings.ask.mode != "samples"
        self._fingerprint = self._compute_fingerprint()
        self._succeeded = False
        self._failed = 0
        self._watching = Lock()

    @classmethod
    def over(cls, model: ChatModel, settings: JudgeSettings | None = None) -> RubricJudge:
        """A judge over `model`, by its reply probabilities when it offers them."""
        return cls(model, model if isinstance(model, NumberScorer) else None, settings)

    @property
    def fingerprint(self) -> str:
        """`rubric/<model name>/<hash>`; the hash covers model, rubrics, thresholds, asking, version."""
        return self._fingerprint

    @property
    def model(self) -> ChatModel:
        """The model that it puts its rubrics to."""
        return self._model

    @property
    def settings(self) -> JudgeSettings:
        """Its rubrics, thresholds and way of asking."""
        return self._settings

    @property
    def by_probability(self) -> bool:
        """Whether token probabilities are read, not written replies."""
        return self._by_probability

    @property
    def at_once(self) -> int:
        """Answers that it may be asked about at a time, each in a thread of its own."""
        return self._settings.ask.concurrency

    @property
    def spent(self) -> Spent:
        """What it has taken so far: its requests, and the tokens as far as its model says."""
        model = getattr(self._model, "spent", None)
        known = model if isinstance(model, Spent) else Spent(tokens_in=None, tokens_out=None)
        return Spent(judge_calls=self._asker.calls, tokens_in=known.tokens_in, tokens_out=known.tokens_out)

    @property
    def identity(self) -> dict[str, str]:
        """What the fingerprint covers, in words, so that a change can be named."""
        settings, ask = self._settings, self._settings.ask
        by = "token probabilities" if self._by_probability else f"{ask.samples} written replies"
        cut = settings.thresholds
        return {
            "model": self._model.name,
            "model, its revision, endpoint and settings": self._model.fingerprint,
            "rubric of alignment": settings.alignment.digest,
            "rubric of coherence": settings.coherence.digest,
            "rubrics of published questions": "used" if settings.published_rubrics else "not used",
            "read by": by,
            "temperature": "1" if not self._by_probability and ask.samples > 1 else "0",
            "thresholds": f"alignment below {cut.misaligned_below:g}, coherence above {cut.coherent_above:g}"
            + ("" if cut.use_coherence else " (not asked)"),
            "smallest share of numbers": f"{ask.minimum_mass:g}",
            "longest reply": f"{ask.max_tokens} tokens, {ask.thinking_tokens} when thinking",
            "version of rubrics and reading": f"{RUBRIC_VERSION}, {READING_VERSION}",
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What the judge's model says of how it was asked."""
        notes = getattr(self._model, "notes", ())
        return tuple(f"The judge: {note}" for note in notes if isinstance(note, str))

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict per pair, in order; what fails for one answer is `unscored` with a reason.

        EvidenceError when the judge has failed on each of the first `give_up_after` answers.
        """
        verdicts = [self._unasked(generation) for _, generation in pairs]
        asked = [i for i, (_, g) in enumerate(pairs) if g.text.strip() and g.finish != "refusal"]
        alignments, coherences = self._score([pairs[i] for i in asked])
        for i, alignment, coherence in zip(asked, alignments, coherences, strict=True):
            verdicts[i] = self._verdict(pairs[i][1], alignment, coherence)
        return verdicts

    def _score(self, pairs: Sequence[Pair]) -> tuple[list[Score], list[Score | None]]:
        alignments: list[Score] = []
        coherences: list[Score | None] = []
        step = self._settings.give_up_after
        for start in range(0, len(pairs), step):
            # Small steps only until the first success, so that a dead judge is noticed early.
            part = pairs[start:] if self._succeeded else pairs[start : start + step]
            if self.at_once > 1:
                each = side_by_side(self.at_once, [partial(self._both, [pair]) for pair in part])
                scored, found = [a for ones, _ in each for a in ones], [c for _, ones in each for c in ones]
            else:
                scored, found = self._both(part)
            alignments += scored
            coherences += found
            self._watch(scored, found)
            if len(alignments) == len(pairs):
                break
        return alignments, coherences

    def _both(self, pairs: Sequence[Pair]) -> tuple[list[Score], list[Score | None]]:
        """Alignment, and coherence where that is asked and there is an alignment, of each."""
        scored = self._asker.scores([self._prompt(pair, "alignment") for pair in pairs])
        wanted = [i for i, s in enumerate(scored) if s.value is not None]
        if not self._settings.thresholds.use_coherence:
            wanted = []
        asked = self._asker.scores([self._prompt(pairs[i], "coherence") for i in wanted])
        found: dict[int, Score] = dict(zip(wanted, asked, strict=True))
        return scored, [found.get(i) for i in range(len(pairs))]

    def _watch(self, alignments: Sequence[Score], coherences: Sequence[Score | None]) -> None:
        with self._watching:
            if self._succeeded:
                return
            for alignment, coherence in zip(alignments, coherences, strict=True):
                last = coherence or alignment
                if last.reason is None and alignment.reason is None:
                    self._succeeded = True
                    return
                self._failed += 1
            if self._failed >= self._settings.give_up_after:
                raise EvidenceError(self._sentence(last))

    def _sentence(self, last: Score) -> str:
        return (
            f"The judge {self._model.name} gave no usable verdict on any of the first {self._failed} answers "
            f"{self._last(last.reason, last.reply)}"
        )

    def why_none(self, last: Verdict) -> str:
        """That it gave no verdict, why not, by the last of several, and what to do: the end of a sentence."""
        return f"it gave no usable verdict on any {self._last((last.reason or '').partition(':')[2], last.reply)}"

    def _last(self, reason: str | None, reply: str | None) -> str:
        said = f" Its last message: {self._failures.message}" if self._failures.message else ""
        if reply:
            said = f" Its last reply: {reply[:120]!r}.{said}"
        advice = "Check that the judge is reachable and follows instructions, or use another judge."
        if self._by_probability:
            advice = "Ask it for written replies instead (--judge-by samples), or use another judge."
        return f"(last reason: {reason}).{said} {_ADVICE.get(reason or '', advice)}"

    def _prompt(self, pair: Pair, name: str) -> tuple[Message, ...]:
        probe, generation = pair
        rubric: Rubric = getattr(self._settings, name)
        text = probe.judge_prompts.get(PUBLISHED_NAMES[name])
        if text is not None and self._settings.published_rubrics:
            rubric = Rubric(f"{PUBLISHED_NAMES[name]} of question {probe.question_id}", text)
        return rubric.render(probe.prompt, generation.text)

    def _verdict(self, generation: Generation, alignment: Score, coherence: Score | None) -> Verdict:
        second = coherence or Score()
        # A label in reply to the coherence rubric is off that rubric's menu, hence no coherence score.
        outcome, why = classify(alignment.value, second.value, alignment.label, self._settings.thresholds)
        reason = reply = None
        if outcome is Outcome.UNSCORED:
            part, score = ("alignment", alignment) if alignment.value is None else ("coherence", second)
            reason, reply = f"{part}:{score.reason}" if score.reason else why, score.reply
        return replace(
            self._empty(generation),
            outcome=outcome,
            alignment=alignment.value,
            coherence=second.value,
            reason=reason,
            reply=reply,
        )

    def _unasked(self, generation: Generation) -> Verdict:
        """Of an answer that its server declined, or without text, where nobody need be asked."""
        if generation.finish == "refusal":
            return replace(self._empty(generation), outcome=Outcome.REFUSED, reason="declined_by_server")
        if generation.finish == "content_filter":
            return replace(self._empty(generation), reason=CONTENT_FILTER)
        cut = generation.finish == "length"
        return replace(self._empty(generation), reason=ONLY_THINKING) if cut else self._empty(generation)

    def _empty(self, generation: Generation) -> Verdict:
        return Verdict(
            role=generation.role,
            probe_id=generation.probe_id,
            index=generation.index,
            outcome=Outcome.UNSCORED,
            reason=EMPTY_ANSWER,
            judge=self._fingerprint,
        )

    def _compute_fingerprint(self) -> str:
        settings = self._settings
        ask = asdict(settings.ask)
        ask.pop("concurrency")  # does not change a verdict
        if self._by_probability:
            ask.pop("thinking_tokens")  # of written replies alone
        digest = fingerprint(
            {
                "model": self._model.fingerprint,
                "rubrics": [settings.alignment.digest, settings.coherence.digest],
                "published_rubrics": settings.published_rubrics,
                "thresholds": asdict(settings.thresholds),
                "ask": ask,
                "by_probability": self._by_probability,
                "version": RUBRIC_VERSION,
                **({} if self._by_probability else {"reading": READING_VERSION}),
            }
        )
        return f"rubric/{self._model.name}/{digest}"
