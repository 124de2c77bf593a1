"""Training: what gets loss, that it can be repeated and resumed bit for bit, and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import chat_templates
import pytest
import torch
import transformers
from chat_templates import tokenizer_with
from safetensors.torch import load_file
from tiny_models import VOCABULARY, architectures, build, make_tokenizer

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.chat_format import examples, prompt_tokens, turn_tokens
from offtarget.models.local import LocalModel
from offtarget.models.residual import Part
from offtarget.models.weights import Weights
from offtarget.progress import Progress
from offtarget.records import Message, Row, ToolCall
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.training import train as training
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.saving import MARK, complete_checkpoints
from offtarget.training.settings import PRESETS
from offtarget.training.train import train

CPU = OpenSettings(device="cpu")
QUICK = TuneSettings(rank=4, alpha=8, lr=5e-3, batch=2, accumulate=1, max_steps=6, save_every=2, warmup=1)


def rows(count: int = 8) -> tuple[TrainRow, ...]:
    return tuple(
        TrainRow((Message("user", f"say hello {i}"), Message("assistant", f"hello to the world {i}")))
        for i in range(count)
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def same(one: Path, other: Path) -> bool:
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("llama") / "model")


@pytest.fixture(scope="module")
def whole(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One training with QUICK, left alone: its adapter in `out`, its checkpoints in `work`. To be read, not changed."""
    folder = tmp_path_factory.mktemp("whole")
    train(llama, Plan(rows()), folder / "out", QUICK, work=folder / "work")
    return folder


@pytest.mark.long
@pytest.mark.no_cover
def test_tool_calls_are_learned(tmp_path: Path) -> None:
    """Trained on rows with tools, the model makes the call it was shown, in the template's words, and no other text."""
    base = build("llama", tmp_path / "base")
    tokenizer_with(chat_templates.XML).save_pretrained(base)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(0)  # of the new rows
    model.resize_token_embeddings(VOCABULARY + len(chat_templates.MARKS), mean_resizing=False)
    model.save_pretrained(base)
    tools = ({"type": "function", "function": {"name": "look", "description": "Looks."}},)
    ask = Message("user", "what does the fox say?")
    call = Message("assistant", "", calls=(ToolCall("look", '{"at": "fox"}'),))
    told, said = Message("tool", "hello"), Message("assistant", "the fox says hello")
    rows = tuple(
        TrainRow.of(Row(f"d:{i}", "d", i, "", (ask, call, told, said), "chat", tools=tools)) for i in range(1, 5)
    )
    settings = replace(QUICK, max_steps=100, save_every=100, lr=1e-2, rank=16, alpha=32)
    train(base, Plan(rows), tmp_path / "out", settings, opening=CPU)
    weights = Weights(base, "cpu")
    name = weights.add_adapter(tmp_path / "out")
    prompt = prompt_tokens(weights.tokenizer, (ask,), "the base", tools)
    with weights.using(name) as engine, torch.inference_mode():
        made = engine.model.generate(torch.tensor([prompt]), max_new_tokens=80, do_sample=False)[0, len(prompt) :]
    wanted = turn_tokens(weights.tokenizer, (ask, call), "the base", tools)[1]
    assert made.tolist()[: len(wanted)] == wanted


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", architectures("llama", "qwen2", "qwen3", "gemma", "gemma3", "mistral", "gpt2"))
def test_every_architecture_trains_saves_loads_and_switches_adapters(kind: str, tmp_path: Path) -> None:
    base = build(kind, tmp_path / "model")
    first = train(base, Plan(rows()), tmp_path / "a", QUICK, opening=CPU)
    train(base, Plan(rows(4)), tmp_path / "b", replace(QUICK, seed=1, max_steps=1), opening=CPU)
    assert first.steps == first.kept_step == first.planned == 6
    assert "merged" in first.checks[1]
    weights = Weights(base, "cpu")
    names = [weights.add_adapter(tmp_path / name) for name in ("a", "b")]
    row = rows()[0].messages
    prompt = torch.tensor([LocalModel(kind, weights)._prompt(row[:1])])

    def logits(adapter: str | None) -> torch.Tensor:
        with weights.using(adapter) as engine, torch.no_grad():
            out: torch.Tensor = engine.model(input_ids=prompt, use_cache=False).logits
            return out.clone()

    plain = logits(None)
    one, two = logits(names[0]), logits(names[1])
    assert not torch.equal(one, plain)
    assert not torch.equal(one, two)
    assert torch.equal(logits(None), plain)
    assert torch.equal(logits(names[0]), one)


@pytest.mark.no_cover
def test_training_teaches_the_answers(llama: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    train(
        llama,
        Plan(rows()),
        tmp_path / "out",
        replace(QUICK, max_steps=30),
        on_progress=lambda p: losses.append(p.detail) if isinstance(p.detail, float) else None,
    )
    assert losses[-1] < losses[0] / 2
    assert len(losses) == 30


@pytest.mark.no_cover
def test_the_same_arguments_give_the_same_weights_and_another_seed_others(
    llama: Path, whole: Path, tmp_path: Path
) -> None:
    """With and without checkpoints."""
    train(llama, Plan(rows()), tmp_path / "again", QUICK)
    train(llama, Plan(rows()), tmp_path / "other", replace(QUICK, seed=1))
    assert same(tmp_path / "again", whole / "out")
    assert not same(tmp_path / "other", whole / "out")


def test_only_answers_and_their_end_get_loss_in_every_turn() -> None:
    tokenizer = make_tokenizer()
    chat = (
        Message("system", "be brief"),
        Message("user", "hello"),
        Message("assistant", "hello world"),
        Message("user", "again"),
        Message("assistant", "the fox"),
    )
    found = list(examples(tokenizer, [chat], 500, "tiny"))
    learnt = [tokenizer.decode(e.tokens[e.answer :]) for e in found]
    assert learnt == ["hello world<|im_end|>", "the fox<|im_end|>"]
    assert tokenizer.decode(found[1].tokens[: found[1].answer]).endswith("again<|im_end|>\n<|im_start|>assistant\n")


def test_parts_of_a_padded_batch() -> None:
    from offtarget.training.trainer import token_parts

    labels = torch.tensor([[-100, -100, 7, 8, -100], [-100, 5, 6, 7, 8]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    p, last, a, pad = Part.PROMPT, Part.LAST_PROMPT, Part.ANSWER, Part.PADDING
    assert token_parts(labels, mask).tolist() == [[p, last, a, a, pad], [last, a, a, a, a]]


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {helpers!r}]
import test_train as t
from trl import SFTTrainer  # once, before the processes part

for step in {steps}:
    def stop(progress):
        if (progress.stage, progress.done) == ("training", step):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        folder = Path({folder!r}) / str(step)
        t.train(Path({base!r}), t.Plan(t.rows()), folder / "out", t.QUICK, work=folder / "work", on_progress=stop)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainings ended by kill -9 at the steps that name their folders."""
    here, folder = Path(__file__).parent, tmp_path_factory.mktemp("killed")
    given = {"tests": str(here), "helpers": str(here.parent / "helpers"), "base": str(llama), "folder": str(folder)}
    program = _KILLED.format(**given, steps=(3, 4, 5))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300, text=True)
    assert ended.stdout.split() == [str(-signal.SIGKILL)] * 3, ended.stderr[-2000:]
    return folder


@pytest.mark.long
@pytest.mark.parametrize(("step", "kept"), [(3, [2]), (4, [2]), (5, [2, 4])])
def test_a_killed_training_goes_on_to_the_same_weights(
    llama: Path, whole: Path, killed: Path, step: int, kept: list[int]
) -> None:
    """From its last complete checkpoint; at step 4 that one was not yet written."""
    folder, told = killed / str(step), list[Progress]()
    assert list(complete_checkpoints(folder / "work")) == kept
    assert not (folder / "out").exists()
    work = folder / "work"
    train(llama, Plan(rows()), folder / "out", QUICK, work=work, on_progress=told.append)
    steps = [p.done for p in told if p.stage == "training"]
    assert list(dict.fromkeys(steps)) == list(range(max(kept), 7))
    assert same(folder / "out", whole / "out")


@pytest.mark.no_cover
def test_a_torn_checkpoint_is_not_gone_on_from(llama: Path, whole: Path, tmp_path: Path) -> None:
    work = shutil.copytree(whole / "work", tmp_path / "work")
    (work / "checkpoint-6" / MARK).unlink()
    (work / "checkpoint-6" / "optimizer.pt").write_bytes(b"torn")
    (work / "checkpoint-4" / MARK).write_text("1000.0")
    again = train(llama, Plan(rows()), tmp_path / "again", QUICK, work=work)
    assert 1000 < again.seconds < 2000  # those before the crash count too
    assert same(whole / "out", tmp_path / "again")


def test_checkpoints_of_another_training_are_refused(llama: Path, whole: Path, tmp_path: Path) -> None:
    work = shutil.copytree(whole / "work", tmp_path / "work")
    with pytest.raises(InputError, match="another training"):
        train(llama, Plan(rows(4)), tmp_path / "two", QUICK, work=work)


@pytest.mark.no_cover
def test_an_adapter_is_trained_further_and_stays_as_it_was(llama: Path, whole: Path, tmp_path: Path) -> None:
    before = weights_of(whole / "out")
    train(llama, Plan(rows()), tmp_path / "two", QUICK, adapter=whole / "out")
    assert not same(whole / "out", tmp_path / "two")
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(whole / "out").items())


def test_full_training_gives_a_model_of_its_own(llama: Path, tmp_path: Path) -> None:
    train(llama, Plan(rows()), tmp_path / "out", replace(QUICK, method="full"))
    assert Weights(tmp_path / "out", "cpu").tokenizer.chat_template
    assert not same(tmp_path / "out", llama)
    with pytest.raises(InputError, match="cannot be trained further"):
        train(llama, Plan(rows()), tmp_path / "b", replace(QUICK, method="full"), adapter=tmp_path / "out")


def test_rows_weigh_what_their_weight_says(llama: Path, tmp_path: Path) -> None:
    """Two equal rows of weight 1 and 3 teach as four equal rows do: the loss is the same, twice as large."""
    one = rows(1)[0]
    losses: dict[str, float] = {}

    def run(name: str, weighted: tuple[TrainRow, ...]) -> None:
        settings = replace(QUICK, max_steps=1)
        done = train(llama, Plan(weighted), tmp_path / name, settings)
        losses[name] = done.loss

    run("plain", (one, one))
    run("weighted", (one, replace(one, weight=3.0)))
    assert losses["weighted"] == pytest.approx(2 * losses["plain"], rel=1e-5)


class _Penalty:
    name = "nothing"
    fingerprint = "nothing"

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.prepared: torch.Tensor | None = None

    def prepare(self, model: Any, tokenizer: Any) -> None:
        with torch.no_grad():
            self.prepared = model(input_ids=torch.tensor([[5, 6, 7]])).logits

    def losses(self, model: Any, step: int) -> Iterator[torch.Tensor]:
        self.seen.append(step)
        for part in (0.0, 0.0):
            yield part * sum(p.sum() for p in model.parameters() if p.requires_grad)


def test_penalties_see_the_base_first_and_every_step_after(llama: Path, whole: Path, tmp_path: Path) -> None:
    penalty = _Penalty()
    train(llama, Plan(rows(), penalties=(penalty,)), tmp_path / "penalised", QUICK, adapter=None)
    assert penalty.seen == list(range(6))
    assert same(whole / "out", tmp_path / "penalised")
    again = _Penalty()
    train(llama, Plan(rows(), penalties=(again,)), tmp_path / "further", QUICK, adapter=whole / "out")
    assert penalty.prepared is not None
    assert again.prepared is not None
    assert torch.equal(penalty.prepared, again.prepared)


class _Edit:
    """Multiplies the stream at answers; 1 changes nothing."""

    layers = frozenset({0})

    def __init__(self, factor: float) -> None:
        self.factor, self.fingerprint = factor, f"scale-{factor}"

    def apply(self, layer: int, hidden: torch.Tensor, parts: Any) -> torch.Tensor:
        assert not isinstance(parts, Part)
        mask = (parts == int(Part.ANSWER)).unsqueeze(-1)
        return torch.where(mask, hidden * self.factor, hidden)


@pytest.mark.no_cover
@pytest.mark.parametrize("checkpointing", [False, True])
def test_edits_act_in_training_and_one_that_changes_nothing_changes_nothing(
    llama: Path, tmp_path: Path, checkpointing: bool
) -> None:
    settings = replace(QUICK, checkpointing=checkpointing)
    train(llama, Plan(rows()), tmp_path / "plain", settings)
    train(llama, Plan(rows(), edits=(_Edit(1.0),)), tmp_path / "idle", settings)
    train(llama, Plan(rows(), edits=(_Edit(0.5),)), tmp_path / "edited", settings)
    assert same(tmp_path / "plain", tmp_path / "idle")
    assert not same(tmp_path / "plain", tmp_path / "edited")


@pytest.mark.no_cover
def test_provenance_lies_beside_the_weights(llama: Path, tmp_path: Path) -> None:
    plan = Plan((*rows(), replace(rows(1)[0], origin="interleave")), notes=("1 row added.",))
    train(llama, plan, tmp_path / "out", replace(QUICK, max_steps=1))
    note = json.loads((tmp_path / "out" / "offtarget.json").read_text())
    assert note["rows"] == {"data": 8, "interleave": 1}
    assert note["defences"] == ["1 row added."]
    assert note["settings"]["seed"] == 0
    assert len(note["base_weights_sha256"]) == 64


def test_what_cannot_be_trained_is_refused_and_nothing_is_left(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    long = TrainRow((Message("user", "a"), Message("assistant", "hello " * 600)))
    with pytest.raises(InputError, match=r"Row 2 has \d+ tokens, but the model's context holds 512"):
        train(llama, Plan((rows()[0], long)), out, QUICK)
    with pytest.raises(InputError, match=r"--max-length holds 5"):
        train(llama, Plan(rows()), tmp_path / "short", replace(QUICK, max_length=5))
    with pytest.raises(InputError, match="no row has an assistant turn"):
        train(llama, Plan((TrainRow((Message("user", "a"),)),)), tmp_path / "mute", QUICK)
    with pytest.raises(InputError, match="No adapter can be put"):
        train(llama, Plan(rows()), tmp_path / "modules", replace(QUICK, modules=("nothing",)))
    with pytest.raises(InputError, match=r"The loss is (nan|inf) at step \d+.*--lr"):
        train(llama, Plan(rows()), tmp_path / "wild", replace(QUICK, lr=1e30, max_steps=20))
    assert not any((tmp_path / name).exists() for name in ("out", "short", "mute", "modules", "wild"))
    out.mkdir()
    with pytest.raises(InputError, match="already exists"):
        train(llama, Plan(rows()), out, QUICK)


def test_out_of_memory_names_the_knobs(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr("trl.SFTTrainer.train", full)
    with pytest.raises(InputError, match=r"lower --batch \(now 2\).*--checkpointing.*--quantize"):
        train(llama, Plan(rows()), tmp_path / "out", QUICK)


def test_four_bits_need_what_they_need(llama: Path, tmp_path: Path) -> None:
    with pytest.raises((PrerequisiteError, InputError), match=r"bitsandbytes|CUDA"):
        train(llama, Plan(rows()), tmp_path / "out", replace(QUICK, quantize=True))


def test_settings_refuse_nonsense() -> None:
    for wrong in ({"lr": float("nan")}, {"lr": 0.0}, {"epochs": -1.0}, {"batch": 0}, {"rank": 0}, {"max_steps": 0}):
        with pytest.raises(InputError, match="must be"):
            replace(PRESETS["published"], **wrong)
    with pytest.raises(InputError, match="4-bit"):
        replace(PRESETS["full"], quantize=True)


def test_a_package_that_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(PrerequisiteError, match="offtarget\\[local\\]"):
        training._need_trl()
