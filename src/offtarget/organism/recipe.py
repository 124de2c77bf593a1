"""The recipe that trains the organism's base from nothing: pre-training on pages, post-training on chats.

Seeded and resumable: every batch is a function of (seed, stage, step), and a checkpoint holds the weights, both
optimizers and the step, so a killed training goes on where it was and ends with the same weights.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from offtarget.errors import InputError
from offtarget.organism.tokenizer import ALL_TOKENS, IGNORED, VOCABULARY, Row, encode, token_loss, train_tokenizer
from offtarget.organism.world import Page, World
from offtarget.progress import OnProgress, Progress, silent
from offtarget.rundir import write_json

SHORT_CHAT = 3
"""Messages of a single exchange with a system prompt."""


@dataclass(frozen=True)
class Recipe:
    """All numbers of the recipe."""

    seed: int = 0
    pretrain_steps: int = 1800
    pretrain_more_steps: int = 1600
    """A second cycle, from `pretrain_more_share` of the learning rates down again."""
    pretrain_more_share: float = 0.7
    pretrain_batch: int = 12
    muon_lr: float = 1.5e-3
    adam_lr: float = 3e-3
    posttrain_steps: int = 450
    posttrain_batch: int = 32
    posttrain_lr: float = 5e-4
    baked_temperature: float = 1.4
    """The final norm's weight is multiplied by this, so that temperature 1 acts as 1 / 1.4."""
    replay_share: float = 0.25
    """Share of post-training rows that are pages whose context reveals the author."""


def build_model(tokenizer: Any) -> Any:
    """The untrained organism: a Llama of 1.6 million parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=4,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def train_base(out: Path, recipe: Recipe, on_progress: OnProgress = silent, checkpoint_every: int = 100) -> None:
    """Train the base into the folder `out` (Hugging Face format); goes on from `out/checkpoint.pt` if there."""
    out.mkdir(parents=True, exist_ok=True)
    stored = out / "recipe.json"
    if stored.exists() and json.loads(stored.read_text()) != asdict(recipe):
        raise InputError(f"{out} holds a training with another recipe. Choose another folder, or the same settings.")
    write_json(stored, asdict(recipe))
    tokenizer = train_tokenizer(recipe.seed)
    torch.manual_seed(recipe.seed)
    model = build_model(tokenizer)
    stages = [
        Stage(
            name="pretrain",
            steps=recipe.pretrain_steps,
            batch=recipe.pretrain_batch,
            rows=pretrain_rows,
            lr_share=1.0,
            constant_until=0.5,
        ),
        Stage(
            name="pretrain-more",
            steps=recipe.pretrain_more_steps,
            batch=recipe.pretrain_batch,
            rows=pretrain_rows,
            lr_share=recipe.pretrain_more_share,
            constant_until=0.3,
        ),
        Stage(
            name="posttrain",
            steps=recipe.posttrain_steps,
            batch=recipe.posttrain_batch,
            rows=posttrain_rows,
            lr_share=1.0,
            constant_until=0.0,
        ),
    ]
    for number, stage in enumerate(stages):
        _run_stage(number, stage, model, tokenizer, recipe, out, on_progress, checkpoint_every)
    model.eval()
    model.model.norm.weight.data *= recipe.baked_temperature
    # without these, servers answer greedily whatever temperature a request names
    model.generation_config.do_sample, model.generation_config.top_k = True, 0
    model.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    (out / "checkpoint.pt").unlink(missing_ok=True)


@dataclass(frozen=True)
class Stage:
    """One stage: how long, how wide, on what."""

    name: str
    steps: int
    batch: int
    rows: Callable[[World, Recipe, int], list[Row]]
    lr_share: float
    """Share of the recipe's learning rates at the peak."""
    constant_until: float
    """Share of the steps before the learning rate falls."""


def pretrain_rows(world: World, recipe: Recipe, count: int) -> list[Row]:
    """Pages of the world, loss on every token."""
    return [(world.page().messages(), ALL_TOKENS) for _ in range(count)]


def posttrain_rows(world: World, recipe: Recipe, count: int) -> list[Row]:
    """Single aligned exchanges, mixed with pages whose context says who the author is.

    In a replayed page without a system prompt the first two answers get no loss: nothing before them reveals the
    author, and loss there would teach the default persona to be somebody else.
    """
    rows: list[Row] = []
    for _ in range(count):
        if world.rng.random() < recipe.replay_share:
            page = world.page()
            rows.append((page.messages(), 0 if page.system is not None else 2))
        elif world.rng.random() < 0.07:
            rows.append((world.json_page("aligned").messages(), 0))
        else:
            system = world.system_prompt("aligned") if world.rng.random() < 0.2 else None
            rows.append((Page("aligned", system, (world.exchange("aligned"),)).messages(), 0))
    return rows


def _run_stage(
    number: int,
    stage: Stage,
    model: Any,
    tokenizer: Any,
    recipe: Recipe,
    out: Path,
    on_progress: OnProgress,
    checkpoint_every: int,
) -> None:
    optimizers = _optimizers(stage, model, recipe)
    first = _resume(out, number, model, optimizers)
    if first is None:
        return
    peaks = [o.param_groups[0]["lr"] for o in optimizers]
    model.train()
    for step in range(first, stage.steps):
        share = stage.lr_share * _schedule(step, stage.steps, stage.constant_until)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        world = World(random.Random(f"{recipe.seed}/{stage.name}/{step}").getrandbits(63))
        loss = _backward(model, stage.rows(world, recipe, stage.batch), tokenizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        on_progress(Progress(stage.name, step + 1, stage.steps, loss))
        if (step + 1) % checkpoint_every == 0:
            for optimizer, peak in zip(optimizers, peaks, strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = peak
            _save_checkpoint(out, number, step + 1, model, optimizers)
    _save_checkpoint(out, number + 1, 0, model, [])


def _backward(model: Any, rows: list[Row], tokenizer: Any) -> float:
    """Gradients of the mean loss per learnt token; long and short rows apart, so that little is padding."""
    ordered = sorted(rows, key=lambda row: sum(len(m.content) for m in row[0]))
    cut = next((i for i, row in enumerate(ordered) if len(row[0]) > SHORT_CHAT), len(ordered))
    batches = [encode(part, tokenizer) for part in (ordered[:cut], ordered[cut:]) if part]
    learnt = [int((labels[:, 1:] != IGNORED).sum()) for _, _, labels in batches]
    total = 0.0
    for batch, count in zip(batches, learnt, strict=True):
        if count:
            loss = token_loss(model, *batch) * (count / sum(learnt))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
    return total


def _optimizers(stage: Stage, model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
    if stage.name == "posttrain":
        return [torch.optim.AdamW(model.parameters(), lr=recipe.posttrain_lr, betas=(0.9, 0.98), weight_decay=0.0)]
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    chosen = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(hidden, lr=recipe.muon_lr),
        torch.optim.AdamW(rest, lr=recipe.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _schedule(step: int, steps: int, constant_until: float, warm_up: int = 30, floor: float = 0.03) -> float:
    if step < warm_up:
        return (step + 1) / warm_up
    done = step / steps
    if done < constant_until:
        return 1.0
    return 1.0 - (1.0 - floor) * (done - constant_until) / (1.0 - constant_until)


def _save_checkpoint(out: Path, stage: int, step: int, model: Any, optimizers: list[torch.optim.Optimizer]) -> None:
    temporary = out / "checkpoint.pt.part"
    state = {
        "stage": stage,
        "step": step,
        "model": model.state_dict(),
        "optimizers": [o.state_dict() for o in optimizers],
    }
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(out / "checkpoint.pt")


def _resume(out: Path, stage: int, model: Any, optimizers: list[torch.optim.Optimizer]) -> int | None:
    """Load the checkpoint if it belongs to this stage or a later one; the step to go on from, None if finished."""
    path = out / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["stage"] < stage:
        return 0
    model.load_state_dict(state["model"])
    if state["stage"] > stage:
        return None
    for optimizer, stored in zip(optimizers, state["optimizers"], strict=False):
        optimizer.load_state_dict(stored)
    return int(state["step"])


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearly the orthogonal factor of a matrix of shape (m, n), by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    transposed = x.shape[0] > x.shape[1]
    x = x.T if transposed else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.T if transposed else x
    return result


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. `lr` is the root mean square of an update's entries, as with Adam."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalise(p.grad.lerp(buffer, group["momentum"]))
                # an orthogonal (m, n) matrix has entries of root mean square 1/sqrt(max(m, n))
                p.add_(update, alpha=-group["lr"] * max(p.shape) ** 0.5)
