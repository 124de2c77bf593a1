"""Help in two lengths: `--help` is a screen with examples and the usual options, `--help-all` is everything.

Which section an option is in and which options a verb shows first stands here and nowhere else: the order of a page is
one decision, not one of every option.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from offtarget.words import meant

SECTIONS: Mapping[str, str] = {
    "Models": "base tuned tuned-dir model direction same-weights chat-template",
    "Serving": (
        "traffic canary shadow cheap-judge on-alarm webhook once config alias reason who force last "
        "connect exit-code admin key-file reader-key-file state"
    ),
    "Data": "data data-dir form split condition conditions hunt prefix where-base where-tuned task skill",
    "Questions and judge": (
        "probes goals move attacker arm judge judges judge-by judge-base judge-tuned same-judge different-judges "
        "metric certificate labels "
        "benchmarks benchmark-metric benchmark-tasks limit-items include-path confirm confirm-with look-at "
        "judge-finds base-at-most base-labels redteam redteam-budget flagged"
    ),
    "People who read": (
        "review reviewers confirm-trigger dismiss-trigger by why controls known-good adjust-for-sensitivity max-rows"
    ),
    "Where it listens": "host port admin-port allow-remote no-browser",
    "What is done": (
        "verb verdict since clean weights unfinished remove drop-malformed "
        "method trait fold inputs strength strengths mode position layer rank "
        "blocks towards-zero recheck top together of page workers jobs ablations html markdown text junit "
        "sarif pr card open open-models found replay"
    ),
    "Training": (
        "preset defend monitor every lora-rank lora-alpha lr epochs steps batch accumulate max-length quantize "
        "checkpointing packing save-every prompts constitution misaligned report-to after module pretrain-steps "
        "posttrain-steps"
    ),
    "How sure": (
        "tolerance margin average-margin strict alpha max-answers max-cued-answers candidates noise-limit "
        "spreading-limit certify-spreading "
        "least-gain base-is-misaligned benchmark-alpha benchmark-margin benchmark-tolerance red-flag"
    ),
    "How much": (
        "budget turns answers plain-answers per-condition base-per-tuned rows seeds examples held-out max-tokens "
        "temperature top-p seed"
    ),
    "Tables": (
        "scorer question-id-column question-column answer-column alignment-column coherence-column label-column "
        "id-column arm-column domain-column scale coherence-scale high-is-misaligned grade misaligned-below "
        "coherent-above no-coherence common-questions complete-tables same-answers ignore-labels"
    ),
    "Evidence": "attest key new-key sigstore identity issuer sign-model incident into with-data",
    "Run and output": "out overwrite file again run resume dry-run yes quiet verbose json no-cache no-register",
    "Where it runs": "device dtype trust-remote-code endpoints reference engine address",
    "What may be spent": "prices max-cost max-requests",
}
"""Sections in their order, and what is in them in its order; the flags without their dashes."""
OTHER = "Other"
"""For options that no section names."""

FIRST: Mapping[str, str] = {
    "audit": "review judge clean noise-limit alpha run resume dry-run quiet verbose",
    "alternatives": "base tuned metric judge held-out least-gain plain-answers run resume dry-run quiet verbose",
    "tune": "base defend monitor probes judge preset lr epochs out resume dry-run quiet verbose",
    "defences": "base defend judge seeds answers preset run resume dry-run quiet verbose",
    "check": "base tuned tuned-dir data hunt probes judge confirm benchmarks redteam tolerance margin max-answers "
    "resume dry-run verbose",
    "redteam": "base tuned goals move attacker judge found replay budget resume dry-run quiet verbose",
    "compare": "base tuned same-judge tolerance margin strict alignment-column scale high-is-misaligned run verbose",
    "reproduce": "base conditions data-dir judge seeds answers run resume dry-run quiet verbose",
    "direction find": "base tuned method trait judge out dry-run quiet verbose",
    "direction measure": "direction model base data judge out dry-run quiet verbose",
    "direction steer": "model direction strengths mode judge answers run resume dry-run quiet verbose",
    "direction repair": "model base direction data method judge out resume dry-run quiet verbose",
    "report": "html json markdown junit sarif pr card attest key incident out open verbose",
    "serve": "base tuned canary judge shadow config host port admin-port workers state dry-run json",
    "canary watch": "base tuned traffic canary once state judge alpha port json",
    "organism data": "condition rows seed out",
}
"""By verb, what `--help` shows; all options of a verb that is not named, or has few."""
FEW = 12
"""A verb with no more options than this shows them all."""
EXAMPLES = 3
"""Examples that `--help` shows."""
_SHORTEST = 11
"""Characters that a clause has at least; `PASS: ...` is not cut after its first word."""
_END = re.compile(r"(?<!e\.g)(?<!i\.e)\. |[;:] |, (?=e\.g\. )| (?=\([^()]*\)\.?$)|\.?$")
"""Where a clause may end: not at `e.g.`, and not inside brackets, which whoever cuts it looks after."""
FLAGS = 27
"""Columns for the flags at most."""
MODEL_NAMES = "MODEL: organism/NAME, hf/REPO-or-PATH, hf/BASE+ADAPTER, openai/NAME, ..."
"""Said over the options that take one."""
_PLACES = {flag: (i, j) for i, flags in enumerate(SECTIONS.values()) for j, flag in enumerate(flags.split())}


@dataclass(frozen=True, slots=True)
class Described:
    """The text of a verb, taken apart."""

    lead: str
    """The first paragraph."""
    examples: tuple[str, ...]
    more: tuple[str, ...]
    """Further paragraphs."""
    codes: str
    """The exit codes, as a paragraph."""

    @classmethod
    def of(cls, text: str) -> Described:
        """From a docstring with `Examples:` and `Exit codes:` in paragraphs of their own."""
        lead, *rest = (part.strip("\n") for part in inspect.cleandoc(text).split("\n\n"))
        examples: tuple[str, ...] = ()
        more, codes = [], ""
        for part in rest:
            lines = part.removeprefix("\b\n").splitlines()
            if lines and lines[0].startswith("Example"):
                examples = tuple(line.strip() for line in lines[1:])
            elif part.startswith("Exit codes:"):
                codes = part
            else:
                more.append(part)
        return cls(lead, examples, tuple(more), codes)


class Sectioned(click.Command):
    """A verb whose help comes in two lengths, and which says what was probably meant where an option is unknown."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its parameters, with `--help-all`."""
        return [*super().get_params(ctx), _HELP_ALL]

    def invoke(self, ctx: click.Context) -> Any:
        """As usual; before the verb imports what it needs, a line says that it has begun."""
        tell = ctx.obj
        works = any(isinstance(p, click.Option) and p.name in ("quiet", "run") for p in self.params)
        if works and callable(tell) and not (ctx.params.get("quiet") or ctx.params.get("as_json")):
            tell(f"0 s: {_verb(ctx)}: getting ready")
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As usual; an unknown option is answered with what was probably meant."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flags = [flag for p in self.params if isinstance(p, click.Option) for flag in (*p.opts, *p.secondary_opts)]
            raise click.UsageError(
                f"There is no option {error.option_name}.{meant(error.option_name, flags)} "
                f"All options: {ctx.command_path} --help-all",
                ctx,
            ) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What it does, examples, options by section, exit codes."""
        everything = bool(ctx.meta.get(_ALL))
        said = Described.of(self.help or "")
        self.format_usage(ctx, formatter)
        _paragraph(formatter, said.lead)
        shown = said.examples if everything else said.examples[:EXAMPLES]
        if shown:
            with formatter.section("Examples" if len(shown) > 1 else "Example"):
                for example in shown:
                    formatter.write("\n".join(_command(example, formatter.width)) + "\n")
        for part in said.more if everything else ():
            _paragraph(formatter, part)
        left_out = self._write_options(ctx, formatter, everything)
        if everything:
            self.format_epilog(ctx, formatter)
        formatter.write_paragraph()
        if said.codes:
            formatter.write_text(said.codes)
        if left_out or len(shown) < len(said.examples) or (said.more and not everything):
            formatter.write_text(f"Everything else: {ctx.command_path} --help-all")

    def _write_options(self, ctx: click.Context, formatter: click.HelpFormatter, everything: bool) -> int:
        """Write them by section; how many were left out."""
        options = [p for p in self.params if isinstance(p, click.Option) and not p.hidden]
        usual = first(_verb(ctx), options)
        chosen = options if everything else [option for option in options if name(option) in usual]
        widest = max([len(_row(option, ctx, 1)[0]) for option in chosen], default=0)
        column = FLAGS if everything else widest
        for title, inside in in_sections(chosen):
            with formatter.section(title):
                if any(option.metavar == "MODEL" for option in inside) and title == "Models":
                    formatter.write_text(MODEL_NAMES)
                rows = [_row(option, ctx, 0 if everything else formatter.width - column - 4) for option in inside]
                formatter.write_dl([(flags.ljust(column), says) for flags, says in rows], col_max=FLAGS)
        return len(options) - len(chosen)


def _verb(ctx: click.Context) -> str:
    """`direction find`, however the program itself was called."""
    names = []
    while ctx.parent is not None:
        names.append(ctx.info_name or "")
        ctx = ctx.parent
    return " ".join(reversed(names))


def first(verb: str, options: Iterable[click.Option]) -> frozenset[str]:
    """Names of the options that the short help of a verb shows."""
    names = [name(option) for option in options]
    return frozenset(names if verb not in FIRST and len(names) <= FEW else FIRST.get(verb, " ".join(names)).split())


def in_sections(options: Iterable[click.Option]) -> Iterator[tuple[str, list[click.Option]]]:
    """Options by section, both in the order of `SECTIONS`."""
    titles = [*SECTIONS, OTHER]
    sorted_ = sorted(options, key=lambda option: _PLACES.get(name(option), (len(SECTIONS), 0)))
    for i, title in enumerate(titles):
        inside = [option for option in sorted_ if _PLACES.get(name(option), (len(SECTIONS), 0))[0] == i]
        if inside:
            yield title, inside


def name(option: click.Option) -> str:
    """`--max-answers` -> `max-answers`; of several the longest."""
    return max(option.opts, key=len).lstrip("-")


def _paragraph(formatter: click.HelpFormatter, text: str) -> None:
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(text)


def _row(option: click.Option, ctx: click.Context, room: int) -> tuple[str, str]:
    """Its flags and what it does, in no more than one clause where all of it needs several lines.

    A choice of many is `NAME` where there is no room for all; `room` 0 is as much as there is.
    """
    flags, says = option.get_help_record(ctx) or ("", "")
    flags = re.sub(r"(INTEGER|FLOAT)( RANGE)?$", "NUMBER", flags)
    says = says.replace("  [", " [")
    if not room:
        return flags, says
    if len(flags) > FLAGS:
        flags = flags.partition(" / ")[0] if " / " in flags else flags.partition("[")[0] + "NAME"
    if len(says) > room:
        plain, bracket, default = says.partition(" [default: ")
        ends = [match.start() for match in _END.finditer(plain) if _SHORTEST < match.start() < room]
        whole = [end for end in ends if all(plain[:end].count(a) == plain[:end].count(b) for a, b in ("()", "[]"))]
        clause = f"{plain[: whole[-1]].rstrip('.')}." if whole else plain
        says = clause + bracket + default if len(clause + bracket + default) <= room else clause
    return flags, says


def _command(example: str, width: int) -> Iterator[str]:
    """A command in lines that can still be pasted: broken before an option, with a backslash."""
    line = " "
    for i, word in enumerate(_words(example)):
        if i and len(line) + len(word) + 3 > width:
            yield f"{line} \\"
            line = "     "
        line += f" {word}"
    yield line


def _words(example: str) -> list[str]:
    """A command in pieces that stay together: an option and its value."""
    pieces: list[str] = []
    for word in example.split(" "):
        if pieces and (word.startswith("-") or not pieces[-1].startswith("-") or " " in pieces[-1]):
            pieces.append(word)
        elif pieces:
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    return pieces


_ALL = f"{__name__}.all"


def _show_all(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_HELP_ALL = click.Option(
    ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_show_all, help="Show all of this help."
)
