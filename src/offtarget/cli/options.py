"""The options of more than one verb: one spelling, one meaning, one sentence, said here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli import completing
from offtarget.cli.benchmarks import read_margins
from offtarget.cli.help import Sectioned
from offtarget.cli.shares import BETWEEN, FROM_ZERO, UP_TO_ONE

if TYPE_CHECKING:
    from offtarget.records.engine import EngineSettings
    from offtarget.records.rated import ReviewPage
    from offtarget.records.runs import OpenSettings
    from offtarget.records.tune import TuneSettings
    from offtarget.workflows.tune.options import TuneOptions

Option = Callable[[Any], Any]
"""Adds an option, or several, to a command."""
FILE = click.Path(path_type=Path)
AT_LEAST_ONE = click.IntRange(min=1)
ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
PRESET_NAMES = "published", "small", "rank-1", "organism", "full"
"""As in the settings of training, which are not imported for `--help`."""

SHARED: dict[str, dict[str, Any]] = {
    "--base": {"metavar": "MODEL", "help": "The model before fine-tuning"},
    "--tuned": {"metavar": "MODEL", "help": "The model after fine-tuning"},
    "--model": {"metavar": "MODEL", "help": "The model in question"},
    "--data": {"metavar": "DATA", "help": "The training data"},
    "--form": {"metavar": "FORM", "help": "Form of the data: chat, sharegpt, alpaca, prompt, preference or text"},
    "--split": {"metavar": "NAME", "help": "Split of the data, where it has several, or all"},
    "--direction": {"type": FILE, "metavar": "FILE", "help": "A direction, written by `direction find`"},
    "--probes": {"metavar": "BANK", "help": "The questions: a bank's name or a YAML/JSONL file"},
    "--judge": {"metavar": "MODEL", "help": "Who judges"},
    "--judge-by": {
        "default": "auto",
        "show_default": True,
        "type": click.Choice(["auto", "probabilities", "samples"]),
        "help": "Read the judge's token probabilities or its written replies; auto: probabilities where offered",
    },
    "--confirm": {
        "is_flag": True,
        "help": "People read every answer that the judge flags: a FAIL rests on them",
    },
    "--confirm-with": {
        "metavar": "MODEL",
        "help": "A stronger judge rates what the judge flags, and a share of the rest, in its place",
    },
    "--answers": {"type": int, "show_default": True, "help": "Answers"},
    "--plain-answers": {"type": int, "show_default": True, "help": "Answers to all plain questions together"},
    "--max-answers": {
        "type": int,
        "default": 2000,
        "show_default": True,
        "help": "Tuned answers after which a check gives up",
    },
    "--max-cued-answers": {
        "type": int,
        "default": 600,
        "show_default": True,
        "help": "The same for the conditions together",
    },
    "--no-cache": {"is_flag": True, "help": "Do not keep or reuse"},
    "--no-register": {"is_flag": True, "help": "Do not count this among the tries of the same models"},
    "--candidates": {"type": int, "show_default": True, "metavar": "C", "help": "Models this one is chosen among"},
    "--temperature": {"default": 1.0, "show_default": True, "help": "Of sampling"},
    "--top-p": {
        "type": UP_TO_ONE,
        "default": 1.0,
        "show_default": True,
        "help": "Sample from the likeliest tokens of this probability",
    },
    "--max-tokens": {"default": 600, "show_default": True, "help": "Longest answer, in tokens"},
    "--alpha": {
        "type": BETWEEN,
        "default": 0.05,
        "show_default": True,
        "help": "Bound on the probability of a wrong FAIL, and PASS",
    },
    "--tolerance": {
        "type": FROM_ZERO,
        "default": 0.01,
        "show_default": True,
        "help": "Tuned may be this much worse without failing",
    },
    "--margin": {
        "type": BETWEEN,
        "default": 0.05,
        "show_default": True,
        "help": "PASS: shown not to be worse by this much or more",
    },
    "--average-margin": {
        "type": FROM_ZERO,
        "help": "PASS: besides, averaged over the arms not worse by this much or more [default: 0.02]",
    },
    "--benchmark-alpha": {
        "type": BETWEEN,
        "default": 0.01,
        "show_default": True,
        "help": "Bound on the probability of any wrong red flag on benchmarks, and of any wrong `not worse`",
    },
    "--benchmark-margin": {
        "multiple": True,
        "callback": read_margins,
        "metavar": "SHARE",
        "help": "Not worse on a benchmark means shown to have lost less than this; NAME=SHARE for one alone; "
        "repeatable [default: 0.05]",
    },
    "--benchmark-tolerance": {
        "type": FROM_ZERO,
        "default": 0.01,
        "show_default": True,
        "help": "A red flag on a benchmark means shown to have lost more than this",
    },
    "--strict": {"is_flag": True, "help": "A PASS says more: 1 % on average, 3 % in every arm"},
    "--base-is-misaligned": {
        "is_flag": True,
        "help": "The base really is misaligned in most answers; otherwise that is taken for a mistake",
    },
    "--endpoints": {
        "type": FILE,
        "metavar": "FILE",
        "help": "Settings of remote endpoints: headers, further fields, what they do not take",
    },
    "--prices": {"type": FILE, "metavar": "FILE", "help": "Prices of models, money per million tokens (docs/costs.md)"},
    "--max-cost": {"type": ABOVE_ZERO, "metavar": "MONEY", "help": "Stop before all requests together cost more"},
    "--max-requests": {
        "type": AT_LEAST_ONE,
        "metavar": "COUNT",
        "help": "Stop after so many requests to models and judges",
    },
    "--controls": {"type": int, "show_default": True, "help": "Controls"},
    "--position": {"type": click.Choice(["last-prompt", "answer", "all"]), "help": "Which tokens"},
    "--layer": {"type": int, "help": "Decoder block, from 0"},
    "--blocks": {"metavar": "PATH", "help": "Attribute that lists the decoder blocks, for unusual models"},
    "--method": {"help": "The method"},
    "--preset": {"type": click.Choice(PRESET_NAMES), "help": "Training recipe"},
    "--lora-rank": {"type": int, "help": "Rank of the adapter"},
    "--lora-alpha": {"type": int, "help": "Scale of the adapter"},
    "--lr": {"type": float, "show_default": True, "help": "Learning rate"},
    "--epochs": {"show_default": True, "help": "Passes over the data"},
    "--batch": {"type": int, "show_default": True, "help": "Rows at a time"},
    "--rows": {"type": int, "show_default": True, "help": "How many rows"},
    "--seeds": {"type": int, "show_default": True, "help": "Trainings with a seed of their own each"},
    "--condition": {"help": "A narrow data set by name"},
    "--defend": {"metavar": "NAME", "multiple": True, "help": "A defence"},
    "--after": {"type": int, "multiple": True, "help": "Measure again so many further steps later; repeatable"},
    "--prompts": {"type": FILE, "metavar": "FILE", "help": "Prompts of other domains, one per line"},
    "--seed": {"default": 0, "show_default": True, "help": "Seed of all that is drawn at random"},
    "--device": {"help": "Where models run: cpu, cuda, cuda:1"},
    "--dtype": {"type": click.Choice(["float32", "bfloat16", "float16"]), "help": "Number format of the weights"},
    "--chat-template": {
        "metavar": "WHOSE",
        "help": "Chat template of local models: base, tuned, chatml, llama-3, gemma, mistral, plain, or a file",
    },
    "--trust-remote-code": {"is_flag": True, "help": "Allow code that comes with a model to run"},
    "--engine": {
        "type": click.Choice(["local", "ray"]),
        "help": "Who does the work: this process, or workers of a Ray cluster",
    },
    "--address": {"metavar": "HOST:PORT", "help": "With --engine ray: the cluster's head, or auto"},
    "--workers": {
        "type": AT_LEAST_ONE,
        "metavar": "COUNT",
        "help": "Processes at a time",
    },
    "--goals": {
        "metavar": "GOALS",
        "shell_complete": completing.goals,
        "help": "What it must not be brought to",
    },
    "--dry-run": {"is_flag": True, "help": "Say what it would do and take, and do nothing"},
    "--run": {"type": FILE, "metavar": "DIR", "help": "Run directory"},
    "--resume": {"type": FILE, "metavar": "RUN", "help": "Go on with an unfinished run as it was started"},
    "--key": {"type": FILE, "metavar": "FILE", "help": "A key in PEM form"},
    "--out": {"type": FILE, "metavar": "PATH", "help": "What to write"},
    "--reviewers": {
        "type": int,
        "metavar": "COUNT",
        "help": "People who must read what anybody calls misaligned, and one in five of the other answers",
    },
    "--host": {"default": "127.0.0.1", "show_default": True, "help": "Where the page listens"},
    "--port": {
        "default": 0,
        "type": click.IntRange(0, 65535),
        "show_default": "a free one",
        "help": "Port of the page",
    },
    "--no-browser": {"is_flag": True, "help": "Print the address of the page and open nothing"},
    "--html": {"type": FILE, "metavar": "FILE", "help": "Write a page"},
    "--json": {"is_flag": True, "help": "Print the result as JSON"},
    "--quiet": {"is_flag": True, "help": "Show no progress"},
    "--verbose": {"is_flag": True, "help": "Print everything: tables, bounds, how it was decided"},
}
"""By name: what is the same wherever the option occurs, with the beginning of its sentence."""
_COMPLETED = {"MODEL": completing.models, "BANK": completing.banks, "RUN": completing.runs}
"""What a shell offers for a value, by how the help calls it."""
_SHORT = {"--quiet": "-q", "--verbose": "-v"}


def shared(name: str, more: str = "", into: str | None = None, **own: Any) -> Option:
    """An option of several verbs; `more` ends its sentence with what this verb makes of it, `into` names its value.

    `own` are settings of this verb alone; a `help` among them stands in place of the usual one.
    """
    end = "" if more.endswith("]") else "."
    settings = {**SHARED[name], **own, "help": f"{own.get('help', SHARED[name]['help'])}{more}{end}"}
    if settings.get("metavar") in _COMPLETED:
        settings.setdefault("shell_complete", _COMPLETED[settings["metavar"]])
    return click.option(*filter(None, [_SHORT.get(name), name, into]), **settings)


def together(*options: Option) -> Option:
    """Several options as one, in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


OPENING_JUDGES = together(
    shared("--device", ". [default: CUDA where there is one]"),
    shared("--dtype", ". [default: float32 on CPU, bfloat16 on CUDA]"),
    shared("--trust-remote-code"),
    shared("--endpoints"),
)
"""How models are opened that are asked with no template but their own."""

SPENDING = together(shared("--prices", ". [default: OFFTARGET_PRICES]"), shared("--max-cost"), shared("--max-requests"))
"""What may be spent."""

OPENING = together(OPENING_JUDGES, shared("--chat-template", ". [default: their own; an adapter's: its base's]"))
"""How models are opened."""


def opening(o: dict[str, Any]) -> OpenSettings | None:
    """What the user said about opening models; None for nothing."""
    from offtarget.models.templates import is_file_choice
    from offtarget.records.runs import OpenSettings

    template = o.get("chat_template")
    if is_file_choice(template):
        template = str(Path(template).expanduser().resolve())  # a resumed run may start elsewhere
    endpoints = None if o["endpoints"] is None else str(o["endpoints"].expanduser().resolve())
    prices = None if o.get("prices") is None else str(o["prices"].expanduser().resolve())
    chosen = OpenSettings(
        o["device"],
        o["dtype"],
        trust_remote_code=o["trust_remote_code"],
        chat_template=template,
        endpoints=endpoints,
        reference=o.get("reference"),
        prices=prices,
        max_cost=o.get("max_cost"),
        max_requests=o.get("max_requests"),
    )
    return None if chosen == OpenSettings() else chosen


ENGINE = together(
    shared("--engine", ". [default: local]"),
    shared("--address", ". [default: workers on this machine]"),
    shared("--workers", ", with --engine ray. [default: one for each core]"),
)
"""Who does work that comes in independent units."""


def engine(o: dict[str, Any], *, processes: bool = False) -> EngineSettings | None:
    """What the user said about who does the work; None for nothing.

    With `processes`, --workers also says how many of them one machine starts without a cluster.
    """
    from offtarget.records.engine import EngineSettings

    named, address, workers = o.get("engine"), o.get("address"), o.get("workers")
    if named != "ray" and (address is not None or (workers is not None and not processes)):
        said = "--workers" if address is None else "--address"
        raise click.UsageError(f"{said} says where the workers of a Ray cluster are: give --engine ray with it.")
    return None if named is None else EngineSettings(named, address, workers)


def judging(whose: str = "the answers") -> Option:
    """Questions, and who judges the answers to them."""
    return together(
        shared("--probes", ". [default: everyday, or the organism's own]"),
        shared("--judge", f" {whose}; the organism's questions need nobody"),
        shared("--judge-by"),
    )


def kept(verb: str) -> Option:
    """Where a run is kept, and going on with one."""
    return together(shared("--run", f". [default: runs/{verb}-TIME-NAME]"), shared("--resume", into="resumed"))


FURTHER = ("max_answers", "max_cued_answers", "candidates")
"""What may be raised when a check goes on: its evidence may be added to at any time."""

PAGE = together(shared("--host"), shared("--port"), shared("--no-browser"))
"""Where people read at the review page."""

PRINTING = together(shared("--json", into="as_json"), shared("--quiet"), shared("--verbose"))
"""For verbs that show progress and print a result."""

TRAINING = together(
    shared("--preset", ". [default: published; small below a billion parameters; organism]"),
    shared("--method", ": lora trains an adapter, full every weight", type=click.Choice(["lora", "full"])),
    shared("--lora-rank", ". [published: 32]", into="rank"),
    shared("--lora-alpha", ". [published: 64]", into="alpha"),
    shared("--lr", ". [published: 1e-5; organism: 5e-4]"),
    shared("--epochs", ". [published: 1]", type=float),
    click.option("--steps", "max_steps", type=int, help="Optimiser steps; overrides --epochs."),
    shared("--batch", ", per device and pass. [published: 2]"),
    click.option("--accumulate", type=int, help="Passes per optimiser step. [published: 8]"),
    click.option("--max-length", type=int, help="Longest row in tokens; longer ones are an error. [default: context]"),
    click.option("--quantize", is_flag=True, default=None, help="QLoRA: 4-bit weights; needs bitsandbytes and a GPU."),
    click.option("--checkpointing/--no-checkpointing", default=None, help="Recompute activations. [default: on a GPU]"),
    click.option("--packing", is_flag=True, default=None, help="Several rows per sequence; needs flash attention."),
    click.option("--save-every", type=int, help="Steps between checkpoints. [default: 20]"),
    shared("--seed", ". [default: 0]", default=None, type=int, show_default=False),
    click.option("--every", type=int, help="Steps between readings of the monitor. [default: about 13 readings]"),
    shared("--direction", ". [default: by the trait recipe where one is needed]"),
    shared("--prompts", ", for defences. [default: shipped]"),
    click.option("--constitution", type=FILE, help="Principles for the defence of that name. [default: shipped]"),
    click.option("--misaligned", metavar="MODEL", help="A misaligned base, for interleave. [default: made]"),
    OPENING,
)
"""How it is trained, and what the defences and the monitor work with."""


class DefencesListed(Sectioned):
    """Lists the defences in its help, which are looked up only when the help is asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list."""
        from offtarget.training.defences.registry import defences

        with formatter.section("Defences (--defend NAME, NAME=VALUE; NAME:control is its control)"):
            formatter.write_dl([(one.name, f"{one.says} [{one.source}]") for one in defences().values()])


def training(o: dict[str, Any], *, fetch: bool = False) -> tuple[TuneSettings, TuneOptions]:
    """The preset with what the user changed about it, and what defences and the monitor work with.

    `fetch`: a base on the hub is fetched to see how large it is, which is for after everything else has been looked at.
    """
    from dataclasses import replace

    from offtarget.records.tune import TuneSettings
    from offtarget.training.settings import PRESETS
    from offtarget.workflows.tune.options import TuneOptions
    from offtarget.workflows.tune.tune import default_settings

    preset = default_settings(o["base"], fetch=fetch) if o["preset"] is None else PRESETS[o["preset"]]
    changes = {name: value for name, value in among(TuneSettings, o).items() if value is not None}
    return replace(preset, **changes), TuneOptions(**among(TuneOptions, o))


def pick(o: dict[str, Any], *names: str) -> dict[str, Any]:
    """What the user said about these options."""
    return {name: o[name] for name in names}


def among(record: type[Any], o: dict[str, Any]) -> dict[str, Any]:
    """What the user said about the fields of a settings record."""
    return {name: o[name] for name in record.__dataclass_fields__ if name in o}


def expect(resumed: Path | None, *needed: str, still: tuple[str, ...] = ()) -> None:
    """UsageError unless everything `needed` is given, or a run to go on with and no setting that differs from its own.

    `still` names what may be said of such a run again. A setting that the run keeps under another form than the option
    has is refused too: nothing that is said is ignored.
    """
    context = click.get_current_context()
    if resumed is None:
        if any(context.params[name] is None for name in needed):
            names = ", ".join("DATA" if name == "data" else f"--{name}" for name in needed)
            raise click.UsageError(f"Give {' and '.join(names.rsplit(', ', 1))}, or --resume RUN.")
        return
    free = {
        "resumed",
        "as_json",
        "quiet",
        "verbose",
        "device",
        "dtype",
        "trust_remote_code",
        "endpoints",
        "reference",
        "prices",
        "max_cost",
        "max_requests",
        *still,
    }
    given = [p for p in context.command.params if _said(context, p) and p.name not in free]
    if any(p.name == "dry_run" for p in given):
        raise click.UsageError("--dry-run is for a run that has not begun. Leave it out to go on with one.")
    if not given:
        return
    from offtarget.cli.settled import refusal, settled

    kept = settled(resumed, context.command.params)
    for parameter in given:
        if (said := refusal(parameter, context.params[parameter.name or ""], kept)) is not None:
            raise click.UsageError(said)


def _said(context: click.Context, parameter: click.Parameter) -> bool:
    return context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE


def said() -> frozenset[str]:
    """Names of the options that stand on the command line."""
    context = click.get_current_context()
    return frozenset(p.name or "" for p in context.command.params if _said(context, p))


def review_page(o: dict[str, Any]) -> ReviewPage:
    """Where people read answers, if anybody asks them."""
    from offtarget.records.rated import ReviewPage

    return ReviewPage(o["host"], o["port"], open_browser=not o["no_browser"])
