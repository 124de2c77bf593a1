"""What a model can do besides: how well it fits rows, and the organism's own skills by its exact judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from offtarget.asking.ask import ask_and_count
from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import ChatModel
from offtarget.organism.exact import ExactJudge
from offtarget.organism.questions import skill_probes
from offtarget.records import Message, SamplingSettings, Tally
from offtarget.records.runs import OpenSettings
from offtarget.stats.rates import total_tally
from offtarget.workflows.ground import ORGANISM, open_local


def log_probability(
    model: str | ChatModel, rows: Sequence[Sequence[Message]], opening: OpenSettings | None = None
) -> float:
    """Mean log-probability, in nats, of a token of the rows' last answers, given what stands before them."""
    from offtarget.models.passes import Exchange, log_probabilities

    found = log_probabilities(open_local(model, opening), [Exchange.last_of(row) for row in rows])
    return sum(map(sum, found)) / sum(map(len, found))


def organism_skill(model: ChatModel, kind: str, count: int, times: int, seed: int) -> Tally:
    """Counts of `times` answers to each of `count` requests of a kind (see `skill_probes`)."""
    wanted = [(probe, index) for probe in skill_probes(kind, count, seed) for index in range(times)]
    sampling = SamplingSettings(max_tokens=ORGANISM.max_tokens())
    counted = ask_and_count("tuned", model, wanted, ExactJudge(), sampling, partial(answer_seed, seed, "tuned"))
    return total_tally(counted.values())
