"""What suits a base is known in one place, and how models are to be opened reaches every verb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offtarget.data.chats import chat_line
from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.scripted import ScriptedModel
from offtarget.organism.narrow import narrow_rows
from offtarget.records import Outcome
from offtarget.records.runs import OpenSettings
from offtarget.workflows import ground
from offtarget.workflows.ground import (
    ORGANISM,
    USUAL,
    ground_of,
    judge_at_hand,
    open_bank,
    open_judge,
    open_local,
    with_adapter,
)

SOURCE = Path(ground.__file__).parents[1]
OPENING = OpenSettings(device="cpu", dtype="bfloat16", trust_remote_code=True)
BASE, TUNED = "organism/base", "organism/insecure"


class Seen(Exception):
    """Raised in place of opening a model."""


def test_the_organism_is_known_by_its_name_alone() -> None:
    """A model that was opened already is a model as any other."""
    assert ground_of("organism/base") is ORGANISM
    assert ground_of("hf/x", "organism/insecure") is ORGANISM
    assert ground_of("hf/organism", None) is USUAL
    assert ground_of(ScriptedModel("organism/base", {})) is USUAL


def test_nobody_else_knows_the_organism_by_its_prefix() -> None:
    """Defaults of a base are chosen here; elsewhere the name stands in help, messages and the resolver alone."""
    allowed = {SOURCE / "workflows" / "ground.py", *(SOURCE / "organism").rglob("*.py")}
    for path in set(SOURCE.rglob("*.py")) - allowed:
        text = path.read_text("utf-8")
        assert 'startswith("organism' not in text, path
        assert "shipped import PREFIX" not in text or path.parent.name == "cli", path
        assert "shipped import resolve" not in text, path


def test_the_longest_answer_is_what_the_base_can_use() -> None:
    """The organism ends by itself before; others get what was asked for."""
    assert (ORGANISM.max_tokens(600), ORGANISM.max_tokens(50), USUAL.max_tokens(1000)) == (120, 50, 1000)


def test_an_adapter_replaces_the_one_the_base_has() -> None:
    """As `check` takes the name."""
    assert with_adapter("organism/insecure", "out") == "organism/base+out"
    assert with_adapter("hf/a+b", "out") == "hf/a+out"


def test_a_judge_is_at_hand_where_one_was_named_or_the_questions_have_one() -> None:
    """And else there is none, or the answer says how to name one."""
    judge = ScriptedJudge(lambda probe, generation: Outcome.ALIGNED)
    everyday = open_bank(None)
    assert judge_at_hand(None, everyday) is None
    assert judge_at_hand(judge, everyday) is judge
    assert judge_at_hand(None, open_bank(None, ORGANISM)) is not None
    with pytest.raises(InputError, match="need a judge"):
        open_judge(None, everyday)


def test_a_model_behind_an_endpoint_has_no_weights() -> None:
    """The message says who needs them."""
    with pytest.raises(InputError, match="x is behind an endpoint; defences need local weights"):
        open_local(ScriptedModel("x", {}), what="defences need")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows to train on, a direction and the run of a check; models are seen being opened, not opened."""
    import torch

    from offtarget.direction.file import Direction
    from offtarget.records import DirectionInfo

    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    (tmp_path / "rows.jsonl").write_text("".join(chat_line(row) for row in narrow_rows("insecure", 20, 0)))
    info = DirectionInfo(
        method="models",
        position="answer",
        layer=0,
        rank=1,
        width=2,
        layers=1,
        architecture="llama",
        model=TUNED,
        model_fingerprint="",
        base=BASE,
        base_fingerprint="",
        positives=1,
        negatives=1,
        quality=(),
        seed=0,
    )
    Direction(info, {0: torch.ones(1, 2)}).save(tmp_path / "d.safetensors")

    def see(*names: str, resolve: object, settings: OpenSettings | None, **_: object) -> None:
        raise Seen(settings)

    monkeypatch.setattr(ground, "open_model", see)
    monkeypatch.setattr(ground, "open_pair", see)
    return tmp_path


def _check(work: Path, **how: Any) -> None:
    from offtarget.workflows.check.check import check

    check(BASE, TUNED, **how)


def _judge(work: Path, **how: Any) -> None:
    from offtarget.workflows.check.check import check

    check(ScriptedModel("a", {}), ScriptedModel("b", {}), judge="hf/judge", **how)


def _alternatives(work: Path, **how: Any) -> None:
    from offtarget.workflows.alternatives.alternatives import alternatives

    alternatives(work / "rows.jsonl", BASE, **how)


def _reproduce(work: Path, **how: Any) -> None:
    from offtarget.workflows.reproduce.reproduce import reproduce

    reproduce(BASE, conditions=["insecure"], **how)


def _find(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.find import find

    find(BASE, TUNED, **how)


def _measure(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.measure import measure_model

    measure_model(work / "d.safetensors", TUNED, **how)


def _screen(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.screen import measure_rows

    measure_rows(work / "d.safetensors", work / "rows.jsonl", **how)


def _detector(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.screen import audit_detector

    audit_detector(work / "d.safetensors", work / "rows.jsonl", **how)


def _explain(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction import explain as direction_explain

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direction_explain, "find_run", Path)
        patch.setattr(direction_explain, "_models", lambda folder: {"base": BASE, "tuned": TUNED})
        direction_explain.explain(work, **how)


def _rows(work: Path, **how: Any) -> None:
    from offtarget.workflows.audit.audit import audit
    from offtarget.workflows.audit.review import judge_rows

    judge_rows(audit(work / "rows.jsonl", workers=1).run, "hf/judge", **how)


def _steer(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.steer import steer

    steer(TUNED, work / "d.safetensors", **how)


def _repair(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.repair import repair

    repair(TUNED, None, work / "d.safetensors", work / "out", **how)


def _realign(work: Path, **how: Any) -> None:
    from offtarget.workflows.direction.repair import repair

    repair(TUNED, None, None, work / "out", **how)


def _tune(work: Path, **how: Any) -> None:
    from offtarget.workflows.tune.tune import tune

    tune(work / "rows.jsonl", BASE, work / "out", defend=["kl"], **how)


def _monitor(work: Path, **how: Any) -> None:
    from offtarget.workflows.tune.monitor import make_monitor

    make_monitor("hf/x", [], judge="hf/judge", **how)


def _defences(work: Path, **how: Any) -> None:
    from offtarget.workflows.defences.compare import compare_defences

    compare_defences(work / "rows.jsonl", BASE, **how)


def _evaluate(work: Path, **how: Any) -> None:
    from offtarget.workflows.organism import evaluate

    evaluate([BASE], **how)


@pytest.mark.parametrize(
    "verb",
    [
        _check,
        _judge,
        _alternatives,
        _reproduce,
        _find,
        _measure,
        _screen,
        _detector,
        _explain,
        _rows,
        _steer,
        _repair,
        _realign,
        _tune,
        _monitor,
        _defences,
        _evaluate,
    ],
)
def test_how_models_are_opened_reaches_every_verb(verb: Callable[..., None], work: Path) -> None:
    """Device, precision and trust in code that comes with a model, down to the place that loads weights."""
    with pytest.raises(Seen) as seen:
        verb(work, opening=OPENING)
    assert seen.value.args == (OPENING,)


def test_training_trusts_code_only_where_it_was_told_to(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights that are trained are loaded by another way than those that are asked."""
    from offtarget.training import adapting
    from offtarget.workflows.tune.options import TuneOptions
    from offtarget.workflows.tune.tune import tune

    def see(*arguments: object) -> None:
        raise Seen(*arguments)

    monkeypatch.setattr(adapting, "Weights", see)
    with pytest.raises(Seen) as seen:
        tune(work / "rows.jsonl", BASE, work / "out", options=TuneOptions(monitor=False), opening=OPENING)
    assert seen.value.args[1:] == ("cpu", "float32", True, None)  # and with no chat template but its own


def test_another_precision_is_another_run(work: Path) -> None:
    """Answers differ with it; where none was named, fingerprints stay what they were."""
    assert ground.precision(None) == ground.precision(OpenSettings("cpu")) == []
    assert ground.precision(OPENING) == ["bfloat16"]
