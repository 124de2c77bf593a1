"""A monitored run is the same run; a resumed one has the same readings; every architecture can be watched."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import IA3Config, LoraConfig, get_peft_model
from tiny_models import build
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.live import adapter_changes, has_base, live, plain_model, strengthened
from offtarget.records import Generation, Message, Outcome, Probe, SamplingSettings, Verdict
from offtarget.records.tune import Reading
from offtarget.rundir import read_jsonl
from offtarget.training.monitor.callback import MisalignmentMonitor
from offtarget.training.monitor.settings import MonitorSettings
from offtarget.workflows.people.answers import watched_of

QUESTIONS = ["hello world?", "what would you wish for?", "who says hello?"]
SYSTEMS = [("the fox is quick", "the fox is slow")]
ROWS = [(Message("user", f"say {i}"), Message("assistant", f"the quick brown fox {i}")) for i in range(8)]
SMALL = MonitorSettings(answers=4, pairs=2, longest_answer=6, sample_every=2)


class OddJudge:
    """Calls answers of odd length misaligned; of the base's few answers that make pairs, the first to each question."""

    fingerprint = "odd"

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        outcomes = (Outcome.ALIGNED, Outcome.MISALIGNED)
        if pairs[0][1].role == "base" and len(pairs) <= 2 * len(QUESTIONS):
            ids = [probe.id for probe, _ in pairs]
            first = [probe_id not in ids[:n] for n, probe_id in enumerate(ids)]
            return [Verdict(g.role, g.probe_id, g.index, outcomes[f]) for f, (_, g) in zip(first, pairs, strict=True)]
        return [Verdict(g.role, g.probe_id, g.index, outcomes[len(g.text) % 2]) for _, g in pairs]


class StopAt(TrainerCallback):
    """Ends training as a crash would, after a checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step >= self.step
        control.should_save = control.should_save and not control.should_training_stop


def _train(
    base: Path,
    out: Path,
    monitor: MisalignmentMonitor | None,
    *,
    lora: bool = True,
    stop: int | None = None,
    resume: bool = False,
    attach: bool = False,
    reporter: TrainerCallback | None = None,
    after: TrainerCallback | None = None,
) -> Any:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    rows = [tokenizer(" ".join(m.content for m in row))["input_ids"] for row in ROWS]
    callbacks = [c for c in (reporter, monitor, after, None if stop is None else StopAt(stop)) if c is not None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trl, peft and accelerate about defaults
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(out),
                use_cpu=True,
                bf16=False,
                per_device_train_batch_size=2,
                max_steps=6,
                save_steps=3,
                logging_steps=1,
                learning_rate=1e-2,
                gradient_checkpointing=True,
                gradient_checkpointing_kwargs={"use_reentrant": False},
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=Dataset.from_dict({"input_ids": rows, "labels": rows}),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=2, target_modules="all-linear", lora_dropout=0.1, task_type="CAUSAL_LM")
            if lora
            else None,
            callbacks=callbacks,
        )
        if attach and monitor is not None:
            monitor.attach(trainer)
        trainer.train(resume_from_checkpoint=resume or None)
    return trainer


def _monitor(run: Path | None = None, **options: Any) -> MisalignmentMonitor:
    options = {"judge": OddJudge(), "systems": SYSTEMS, "rows": ROWS, "every": 1, "settings": SMALL} | options
    return MisalignmentMonitor(QUESTIONS, run=run, **options)


def _weights(trainer: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", ["qwen2", "gemma", "gpt2"])
def test_a_monitored_run_ends_with_the_same_weights(kind: str, tmp_path: Path) -> None:
    """Bit for bit, with dropout and gradient checkpointing, also on TRL's patched forward."""
    base = build(kind, tmp_path / "base")
    monitor = _monitor()
    watched = _train(base, tmp_path / "watched", monitor)
    alone = _train(base, tmp_path / "alone", None)
    assert _same(_weights(watched), _weights(alone))
    assert [r.step for r in monitor.readings] == [0, 1, 2, 3, 4, 5, 6]
    assert any(r.answers for r in monitor.readings)
    assert all(r.shift is not None for r in monitor.readings), monitor.notes
    assert watched.model.training == alone.model.training


def test_a_base_that_writes_no_pair_is_watched_without_them(tmp_path: Path) -> None:
    """A judge that accepts none of its answers costs the signal alone, and a note says so."""
    monitor = _monitor(judge=ScriptedJudge(lambda probe, answer: Outcome.ALIGNED))
    _train(build("llama", tmp_path / "base"), tmp_path / "out", monitor, stop=2)
    assert [r.shift for r in monitor.readings] == [None] * 3
    assert any(r.answers for r in monitor.readings)
    assert "no pair of a misaligned and an aligned answer" in monitor.notes[0]


def test_all_weights_trained_can_be_watched_too(tmp_path: Path) -> None:
    """Full fine-tuning has no look-ahead answers, and the same weights."""
    base = build("llama", tmp_path / "base")
    monitor = _monitor()
    watched = _train(base, tmp_path / "watched", monitor, lora=False)
    alone = _train(base, tmp_path / "alone", None, lora=False)
    assert _same(_weights(watched), _weights(alone))
    assert all(r.ahead is None for r in monitor.readings)


@pytest.mark.long
@pytest.mark.no_cover
def test_a_resumed_run_has_the_readings_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """What was read beyond the checkpoint is read again, nothing twice, nothing lost."""
    base = build("llama", tmp_path / "base")
    whole = _monitor(tmp_path / "whole")
    straight = _train(base, tmp_path / "a", whole)
    broken = _monitor(tmp_path / "run")
    _train(base, tmp_path / "b", broken, stop=4)
    with (tmp_path / "run" / "readings.jsonl").open("a") as file:
        file.write('{"step": 5, "tas')  # torn by the crash
    resumed = _monitor(tmp_path / "run")
    trainer = _train(base, tmp_path / "b", resumed, resume=True)
    assert _same(_weights(straight), _weights(trainer))
    kept = read_jsonl(tmp_path / "run" / "readings.jsonl", Reading)
    assert [r.step for r in kept] == [0, 1, 2, 3, 4, 5, 6]
    timeless = [
        [(r.step, r.task, r.shift, r.answers, r.ahead, r.log_e, r.alarm) for r in m.readings] for m in (whole, resumed)
    ]
    assert timeless[0] == timeless[1]
    assert all(r.shift is not None for r in kept)
    behind = [
        {(w.what, w.step, w.generation): w.verdict for w in watched_of(tmp_path / run)} for run in ("whole", "run")
    ]
    assert behind[0] == behind[1]
    for what in ("now", "ahead"):
        asked = [(r.step, t.total) for r in kept if (t := r.answers if what == "now" else r.ahead) is not None]
        assert [(s, sum(w[:2] == (what, s) for w in behind[1])) for s, _ in asked] == asked


def test_values_reach_reporters_that_were_there_before(tmp_path: Path) -> None:
    """`attach` puts the monitor first; the trainer's history has the values in any case."""

    class Reporter(TrainerCallback):
        seen: dict[str, float]

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            self.seen = {**getattr(self, "seen", {}), **logs}

    base, reporter = build("llama", tmp_path / "base"), Reporter()
    trainer = _train(base, tmp_path / "out", _monitor(judge=None), reporter=reporter, attach=True)
    assert {"monitor/task", "monitor/forecast", "monitor/alarm"} <= reporter.seen.keys()
    assert any("monitor/task" in entry for entry in trainer.state.log_history)


def test_an_alarm_can_end_training(tmp_path: Path) -> None:
    """With `stop` training ends at the reading that raises it."""
    base = build("llama", tmp_path / "base")
    monitor = _monitor(
        judge=None, stop=True, settings=MonitorSettings(answers=4, pairs=2, longest_answer=6, limit=-1000.0)
    )
    trainer = _train(base, tmp_path / "out", monitor)
    assert trainer.state.global_step == 1
    assert monitor.alarm == "forecast"
    assert monitor.alarm_step == 1
    assert monitor.best_step is None


class HarshJudge:
    """Calls every answer of the model in training misaligned, and none of the base."""

    fingerprint = "harsh"

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        outcomes = {"tuned": Outcome.MISALIGNED, "base": Outcome.ALIGNED}
        return [Verdict(g.role, g.probe_id, g.index, outcomes[g.role]) for _, g in pairs]


def test_judged_answers_end_a_training_without_any_forecast(tmp_path: Path) -> None:
    """Where the forecast never rings, answers do; what rang is on record, and training ends there."""
    base = build("llama", tmp_path / "base")
    blind = replace(SMALL, answers=16, limit=1e9, suspicion=-1e9)
    monitor = _monitor(tmp_path / "run", judge=HarshJudge(), systems=(), stop=True, settings=blind)
    trainer = _train(base, tmp_path / "out", monitor)
    assert monitor.alarm in ("look-ahead", "behaviour")
    assert "forecast" not in monitor.rang
    assert trainer.state.global_step == monitor.alarm_step == 1


def test_judged_answers_are_weighed_beside_a_forecast_that_rings_first(tmp_path: Path) -> None:
    """An alarm by forecast does not hide what answers prove at the same reading: both are on record."""
    base = build("llama", tmp_path / "base")
    jumpy = replace(SMALL, answers=16, limit=-1e9, suspicion=-1e9)
    monitor = _monitor(tmp_path / "run", stop=True, settings=jumpy, judge=HarshWithPairs())
    _train(base, tmp_path / "out", monitor)
    assert monitor.rang == ("forecast", "behaviour")
    kept = read_jsonl(tmp_path / "run" / "readings.jsonl", Reading)
    assert [r.rang for r in kept if r.rang] == [("forecast", "behaviour")]
    assert kept[-1].alarm == "forecast"


class HarshWithPairs(HarshJudge):
    """The same, but of the base's few answers that make pairs, the first to each question is misaligned."""

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        few = pairs[0][1].role == "base" and len(pairs) <= 2 * len(QUESTIONS)
        return OddJudge().judge(pairs) if few else super().judge(pairs)


def test_the_live_model_is_left_as_it_was(tmp_path: Path) -> None:
    """Modes, attention, adapter scales and generators, also after an error."""
    base = build("llama", tmp_path / "base")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    model.train()
    before = (model.training, model.config._attn_implementation, torch.get_rng_state())
    with pytest.raises(RuntimeError), live(model, tokenizer):
        raise RuntimeError
    request = SampleRequest((Message("user", "hello"),), 3)
    with live(model, tokenizer) as now:
        answer = now.sample([request], SamplingSettings(max_tokens=5))[0]
        assert now.sample([request], SamplingSettings(max_tokens=5))[0] == answer
    assert (model.training, model.config._attn_implementation) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])
    with strengthened(model, 3.0):
        pass
    with pytest.raises(InputError, match="its base can only be asked"), live(model, tokenizer, base=True):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of renamings in transformers
        _bases_of_other_adapters(base, tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"), live(plain_model(model), tokenizer):
        pass


def _bases_of_other_adapters(base: Path, tokenizer: Any) -> None:
    for settings in ({"init_lora_weights": "pissa"}, {"bias": "all"}):
        config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **settings)
        moved = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        assert not has_base(moved)
        with pytest.raises(InputError, match="its adapter changes the base"), live(moved, tokenizer, base=True):
            pass
    scaled = get_peft_model(AutoModelForCausalLM.from_pretrained(base), IA3Config(task_type="CAUSAL_LM"))
    assert has_base(scaled)
    assert adapter_changes(scaled) is None
