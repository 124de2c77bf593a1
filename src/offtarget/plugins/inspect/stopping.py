"""Our sequential test as Inspect's early stopping: nothing more is asked once the evidence decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inspect_ai.util import EarlyStop

from offtarget.plugins.inspect.rates import outcomes_of

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.log import EvalSpec
    from inspect_ai.scorer import SampleScore

    from offtarget.records.laid_out import Layout
    from offtarget.workflows.compare.laid_out import LaidOutTest

MANAGER = "offtarget"
SCORER = "paired_judge"


class SequentialStopping:
    """Implements Inspect's `EarlyStopping` over a layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._test: LaidOutTest | None = None

    async def start_task(self, task: EvalSpec, samples: list[Sample], epochs: int) -> str:
        """A new test; raises Inspect's PrerequisiteError for epochs, which would ask drawn questions twice."""
        from inspect_ai._util.error import PrerequisiteError

        from offtarget.workflows.compare.laid_out import LaidOutTest

        if epochs != 1:
            raise PrerequisiteError(
                f"offtarget/paired draws its questions again and again by itself, so it takes one epoch, not {epochs}. "
                "Leave --epochs out; -T max_answers=N says how many answers of the tuned model there are at most."
            )
        self._test = LaidOutTest(self._layout)
        return MANAGER

    async def schedule_sample(self, id: str | int, epoch: int) -> EarlyStop | None:
        """Not this one, where the evidence does not need it."""
        why = self._running.unwanted(str(id))
        return None if why is None else EarlyStop(id=id, epoch=epoch, reason=why)

    async def complete_sample(self, id: str | int, epoch: int, scores: dict[str, SampleScore]) -> None:
        """Counts the answers of a sample. One that ended without a score ends the evidence before it."""
        from offtarget.records import Outcome

        test = self._running
        if SCORER in scores:
            test.add(str(id), [Outcome(one) for one in outcomes_of(scores[SCORER])])
        elif test.unwanted(str(id)) is None:
            test.lose(str(id), "its sample ended without a score")

    async def complete_task(self) -> dict[str, Any]:
        """The verdict, for the log."""
        from offtarget.errors import EvidenceError

        test = self._running
        try:
            decision = test.decision()
        except EvidenceError as error:
            return {"verdict": "UNDECIDED", "reason": str(error), "tuned_answers": 0}
        look = decision.overall
        return {
            "verdict": decision.status.value,
            "reason": decision.reason,
            "notes": list(decision.notes),
            "tuned_answers": test.tuned_used,
            "base_answers": test.tuned_used * int(self._layout.settings.base_per_tuned),
            "log_e_fail": look.log_e_fail,
            "log_e_pass": look.log_e_pass,
        }

    @property
    def _running(self) -> LaidOutTest:
        if self._test is None:
            raise RuntimeError("Inspect asked the early stopping of a task that it had not started.")
        return self._test
