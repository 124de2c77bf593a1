"""The process that runs fixed benchmarks: `python -m offtarget.workflows.check.benchmark_process JOB PIPE`.

lm-eval is imported in here alone, so that its imports, what it leaves behind and its crashes stay out of a check. What
it prints goes to a log; what it has to say goes through the pipe. When the check is gone, so is this.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from offtarget.asking.spending import counted, going_on, timed
from offtarget.benchmarks.wire import Teller, read_job
from offtarget.errors import InputError, OfftargetError
from offtarget.records.benchmark_runs import Job


def main(arguments: list[str]) -> int:
    """Do the job of that file; what happens is told over the pipe of that number."""
    job_file, pipe = Path(arguments[0]), int(arguments[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(pipe, "wb", closefd=True) as said:
        teller = Teller(said)
        try:
            _do(read_job(job_file), teller)
        except OfftargetError as error:
            why: object = getattr(error, "said", str(error))
            teller.tell("refused", error=type(error).__name__, said=why, more=getattr(error, "more", ""))
            return 2
        except BrokenPipeError:
            return 1
        teller.tell("end")
    return 0


def _end_with_parent() -> None:
    """The check holds the other end of our input; its end is that of the check, however it ended."""
    sys.stdin.buffer.read()
    os._exit(1)


@timed
def _do(job: Job, teller: Teller) -> None:
    from offtarget.benchmarks.running import look, run
    from offtarget.detect.detectors.refusal import refuses, rule_fingerprint

    if any(one.wants and one.rule != rule_fingerprint() for one in job.benchmarks):
        raise InputError("The rule of refusal is another one than when the check began. Start a new check.")
    if not job.models:
        look(job, refuses, teller)
        return
    from offtarget.workflows.check.benchmark_models import as_asked
    from offtarget.workflows.ground import open_two

    of_check = Path(job.folder).parent
    going_on(of_check)  # limits on requests and money are those of the whole check
    with counted(of_check, clock=False):
        models = open_two(job.models["base"], job.models["tuned"], job.opening, same_weights=True)
        teller.tell("said", said="both models are open")
        run(job, {role: as_asked(model) for role, model in models.by_role.items()}, refuses, teller)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
