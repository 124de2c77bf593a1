"""Further LoRA training of any chat model: a given number of steps, loss on the answers alone.

A new adapter is rank-stabilised LoRA (arXiv 2312.03732) on every linear layer of the blocks, as in the published
open-model recipe (arXiv 2502.17424, section 4.1); an adapter that exists goes on with the shape it has.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from offtarget.errors import InputError
from offtarget.models.chat_format import TrainingExample, examples, padded
from offtarget.models.folders import weights_sha256
from offtarget.models.head import head_at, logits_at
from offtarget.models.templates import training_template
from offtarget.models.turns import Tools
from offtarget.models.weights import Weights
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Message, message_json
from offtarget.records.runs import OpenSettings

Chat = Sequence[Message]

WARM_UP = 5
"""Steps until the learning rate is reached; after them it falls linearly to 0 at the last step."""
_LOGITS = 1 << 25
"""Logits held at once: 128 MiB in float32. With gradients and copies they take five times that, which for 16 answers
of 200 tokens over a vocabulary of 49,152 would be 3 GB, beside as much for what the blocks keep."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How long and how strongly to train."""

    steps: int = 200
    lr: float = 5e-4
    """Suits models of a few million parameters; 1e-5 to 2e-4 is usual for large ones."""
    batch: int = 16
    """Answers per step."""
    rank: int = 16
    """Of a new adapter, as is `alpha`."""
    alpha: int = 32
    seed: int = 0
    """Decides a new adapter's first matrices and the order of the rows."""


def further_train(
    base: Path,
    adapter: Path | None,
    chats: Sequence[Chat],
    out: Path,
    settings: TrainSettings,
    on_progress: OnProgress = silent,
    *,
    opening: OpenSettings | None = None,
    tools: Sequence[Tools] = (),
) -> None:
    """Train `adapter` of the model in `base` further, or a new one where it is None, and save it to `out`.

    Every assistant turn that is learned is an example of its own: what stands before it as the chat template renders
    it, with the chat's `tools` (empty for none), then the answer and its end token. Weights of the base and the folder
    `adapter` stay as they are. The same arguments give the same adapter on the same machine; of `opening` the
    device, the trust in code and the chat template count, and a chosen template is saved beside the adapter. The new
    folder `out` is an ordinary PEFT adapter in float32, with the provenance in `offtarget.json`.
    Raises InputError when `out` exists, no chat has an answer, an example is longer than the model's context, or
    the loss is not finite.
    """
    if out.exists():
        raise InputError(f"{out} already exists. Choose another folder.")
    if settings.steps < 1 or settings.batch < 1:
        raise InputError(f"Training needs at least 1 step and 1 row per step, not {settings.steps}, {settings.batch}.")
    how = opening or OpenSettings()
    template = training_template(how.chat_template, base, adapter)
    weights = Weights(base, how.device, "float32", how.trust_remote_code, template)
    rows = list(examples(weights.tokenizer, chats, weights.context, str(base), tools=tools))
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = _with_adapter(weights.model, base, adapter, settings)
        _train(model, rows, settings, weights.device, on_progress)
    _save(model, base, adapter, chats, out, settings, weights.tokenizer.chat_template if template else None)


def _with_adapter(model: Any, base: Path, adapter: Path | None, settings: TrainSettings) -> Any:
    from peft import LoraConfig, PeftModel, get_peft_model

    with warnings.catch_warnings():
        # peft warns of transformers' renamings and of Conv1D, which the user can do nothing about
        warnings.simplefilter("ignore")
        if adapter is not None:
            return PeftModel.from_pretrained(model, str(adapter), is_trainable=True, use_safetensors=True)
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            use_rslora=True,
            target_modules="all-linear",
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            base_model_name_or_path=str(base),
        )
        return get_peft_model(model, config)


def _train(
    model: Any, rows: list[TrainingExample], settings: TrainSettings, device: torch.device, on_progress: OnProgress
) -> None:
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=0.01)
    batches = _endless(rows, settings.batch, settings.seed)
    model.train()
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min((step + 1) / WARM_UP, 1.0, 1.0 - step / settings.steps)
        loss = _learn(model, next(batches), device)
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is {loss} at step {step + 1}; training has diverged. Lower the learning rate "
                f"({settings.lr})."
            )
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        on_progress(Progress("training", step + 1, settings.steps, loss))
    model.eval()


def _endless(rows: list[TrainingExample], batch: int, seed: int) -> Iterator[list[TrainingExample]]:
    order = random.Random(seed)
    while True:
        shuffled = order.sample(rows, len(rows))
        for start in range(0, len(shuffled), batch):
            yield shuffled[start : start + batch]


def _learn(model: Any, batch: Sequence[TrainingExample], device: torch.device) -> float:
    """Gradients of the mean cross-entropy of the answers' tokens, every token with equal weight; that mean."""
    learned = sum(len(e.tokens) - e.answer for e in batch)
    loss = 0.0
    for part in _parts(batch, max(1, _LOGITS // int(model.config.get_text_config().vocab_size))):
        tokens, mask, chosen = (t.to(device) for t in padded([(e.tokens, e.answer) for e in part]))
        learned_next = chosen[:, 1:]
        before = torch.nn.functional.pad(learned_next, (0, 1))  # the positions that say the answers' tokens
        with head_at(model, before):
            logits = logits_at(model(input_ids=tokens, attention_mask=mask, use_cache=False).logits, before)
        summed = torch.nn.functional.cross_entropy(logits.float(), tokens[:, 1:][learned_next], reduction="sum")
        (summed / learned).backward()  # type: ignore[no-untyped-call]
        loss += summed.item() / learned
    return loss


def _parts(batch: Sequence[TrainingExample], most: int) -> Iterator[Sequence[TrainingExample]]:
    """The answers of a step in turns of at most `most` tokens side by side, or of a single answer; few take one."""
    if len(batch) * max(len(e.tokens) for e in batch) <= most:
        yield batch
        return
    part: list[TrainingExample] = []
    for example in sorted(batch, key=lambda e: len(e.tokens)):
        if part and (len(part) + 1) * len(example.tokens) > most:
            yield part
            part = []
        part.append(example)
    yield part


def _save(
    model: Any,
    base: Path,
    adapter: Path | None,
    chats: Sequence[Chat],
    out: Path,
    settings: TrainSettings,
    template: str | None,
) -> None:
    part = out.with_name(f"{out.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(part, safe_serialization=True, save_embedding_layers=False)
    (part / "README.md").unlink(missing_ok=True)
    if template is not None:
        (part / "chat_template.jinja").write_text(template, encoding="utf-8")
    provenance = {
        "settings": asdict(settings),
        "rows": len(chats),
        "data_sha256": hashlib.sha256(
            json.dumps([[message_json(m) for m in chat] for chat in chats]).encode()
        ).hexdigest(),
        "base_weights_sha256": weights_sha256(base),
        "from_adapter_sha256": None if adapter is None else weights_sha256(adapter),
    }
    (part / "offtarget.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
    part.replace(out)  # the folder appears complete or not at all
