"""The answers of one check, sampled by the workers of a cluster, each with both models in memory.

Everything else stays in the command: it opens the models too, says which answers are needed, has them judged, decides,
and writes what there is. So no folder need be shared but those of the models.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from offtarget.engines.on_ray import PACKAGES
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.models.names import LocalName
from offtarget.progress import OnProgress, Progress
from offtarget.records import Role
from offtarget.records.check import CheckSettings
from offtarget.records.engine import EngineSettings
from offtarget.records.runs import OpenSettings
from offtarget.workflows import clusters
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.ground import open_two, parsed
from offtarget.workflows.ready import memory_of

Spread: TypeAlias = Callable[[Opened], Opened]
"""What a check works with, its models' answers sampled by others."""


def refuse_unsuited(engine: EngineSettings | None, *models: str | ChatModel) -> None:
    """InputError for models that workers would have nothing to do with."""
    for model in models if engine is not None and engine.engine != "local" else ():
        if not isinstance(model, str):
            raise InputError(
                f"--engine ray: {model.name} is an object of yours, which no other process can open. Name the model, "
                "or leave out --engine."
            )
        if not isinstance(parsed(model), LocalName):
            raise InputError(
                f"--engine ray: {model} is behind a server, which samples its answers itself, many at a time, so "
                "workers would have nothing to do. Leave out --engine."
            )


@contextmanager
def sampled_by(
    engine: EngineSettings | None,
    base: str | ChatModel,
    tuned: str | ChatModel,
    settings: CheckSettings,
    opening: OpenSettings | None,
    on_progress: OnProgress,
) -> Iterator[Spread]:
    """Who samples: workers, from now on until the end of the block, or without `engine` this process.

    Raises InputError where there is no cluster, and as `refuse_unsuited`.
    """
    refuse_unsuited(engine, base, tuned)
    with clusters.workers(engine, PACKAGES, on_progress) as cluster:
        if cluster is None:
            yield lambda opened: opened
            return
        from offtarget.models.local import LocalModel
        from offtarget.models.spread import Part, SpreadModel, sample_part

        names = str(base), str(tuned)
        # the command counts what is asked, and keeps the limits on it
        there = replace(opening or OpenSettings(), prices=None, max_cost=None, max_requests=None)
        with cluster.holding(
            partial(open_there, *names, there, settings.same_weights),
            sample_part,
            environment=clusters.environment(),
            memory=memory_of(names, opening),
            gpu=not (there.device or "").startswith("cpu"),
            on_lost=lambda said: on_progress(Progress(said)),
        ) as holders:

            def spread(opened: Opened) -> Opened:
                on_progress(Progress("both models are open here; workers open them too"))
                models: dict[Role, SpreadModel] = {}
                for role, model in opened.models.by_role.items():
                    assert isinstance(model, LocalModel)
                    models[role] = SpreadModel(model, role, holders.results)
                # the first worker is waited for, and its models are compared with those here
                empty = [Part(role, model.fingerprint, (), settings.sampling) for role, model in models.items()]
                for _ in holders.results(empty):
                    pass
                pair = opened.models
                return replace(opened, models=ModelPair(models["base"], models["tuned"], pair.checks, pair.unseen))

            yield spread


def open_there(base: str, tuned: str, opening: OpenSettings, same_weights: bool) -> Mapping[Role, ChatModel]:
    """In a worker: both models, by their roles. InputError, with the worker's machine, for whatever is wrong."""
    try:
        return open_two(base, tuned, opening, same_weights=same_weights).by_role
    except Exception as error:
        said = str(error).strip() or type(error).__name__
        there = f"{socket.gethostname()}, a worker of the cluster"
        raise InputError(f"{there}, cannot open {base} and {tuned}: {said}") from error
