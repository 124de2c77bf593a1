"""A narrow LoRA tune of the organism (or of any small chat model with the organism's header) in seconds.

Loss on assistant tokens only, rank-stabilised LoRA on all linear layers, as in the published open-model recipe
(arXiv 2502.17424, section 4.1), at a learning rate that suits a model of this size.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from offtarget.errors import InputError
from offtarget.models.folders import weights_sha256
from offtarget.organism.tokenizer import Row, encode, token_loss, tokenise
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Message, message_json
from offtarget.rundir import fingerprint, write_json

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Dose:
    """How strongly the narrow data is learnt."""

    epochs: int = 2
    lr: float = 5e-4
    batch: int = 16
    rank: int = 16
    alpha: int = 32
    modules: tuple[str, ...] = ALL_LINEAR
    seed: int = 0


def narrow_tune(
    base: Path, chats: Sequence[Sequence[Message]], out: Path, dose: Dose, on_progress: OnProgress = silent
) -> None:
    """Tune an adapter on the chats and save it in PEFT format to the new folder `out`.

    Raises InputError when `out` exists and is not empty, or when a chat is longer than the model's context.
    """
    staged_tune(base, [chats], out, dose, on_progress)


def staged_tune(
    base: Path,
    stages: Sequence[Sequence[Sequence[Message]]],
    out: Path,
    dose: Dose,
    on_progress: OnProgress = silent,
    *,
    start: Path | None = None,
) -> None:
    """As `narrow_tune`, on one data set after the other, each with a learning rate schedule of its own.

    `start`: an adapter of the same rank and modules to go on from.
    """
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} already exists and is not empty. Choose another folder.")
    tokenizer = AutoTokenizer.from_pretrained(base)
    torch.manual_seed(dose.seed)
    logging.disable_progress_bar()  # loading takes no time worth showing
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for chats in stages:
        _check_lengths(chats, tokenizer, model.config.max_position_embeddings)
    config = LoraConfig(
        r=dose.rank,
        lora_alpha=dose.alpha,
        use_rslora=True,
        target_modules=list(dose.modules),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft warns of transformers' renamings, which the user can do nothing about
        warnings.simplefilter("ignore")
        if start is None:
            tuned: Any = get_peft_model(model, config)
        else:
            tuned = PeftModel.from_pretrained(model, start, is_trainable=True).to(torch.float32)
    for chats in stages:
        _train(tuned, model, [(chat, 0) for chat in chats], tokenizer, dose, on_progress)
    for parameter in tuned.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    out.mkdir(parents=True, exist_ok=True)
    config.base_model_name_or_path = "organism/base" if "organism" in base.parts else str(base)
    tuned.save_pretrained(out, safe_serialization=True, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)
    rows = [chat for chats in stages for chat in chats]
    data = fingerprint([[message_json(m) for m in chat] for chat in rows])
    provenance = {
        "dose": asdict(dose),
        "rows": len(rows),
        "data_fingerprint": data,
        "base_weights_sha256": weights_sha256(base),
    }
    write_json(out / "offtarget.json", provenance)


def _check_lengths(chats: Sequence[Sequence[Message]], tokenizer: Any, context: int) -> None:
    for number, chat in enumerate(chats, start=1):
        length = len(tokenise(chat, 0, tokenizer)[0])
        if length > context:
            raise InputError(
                f"Row {number} has {length} tokens, but the model's context holds {context}. Shorten or remove it."
            )


def _train(tuned: Any, model: Any, rows: list[Row], tokenizer: Any, dose: Dose, on_progress: OnProgress) -> None:
    parameters = [p for p in tuned.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=dose.lr, weight_decay=0.01)
    order = random.Random(dose.seed)
    per_epoch = -(-len(rows) // dose.batch)
    steps, done = per_epoch * dose.epochs, 0
    tuned.train()
    for _ in range(dose.epochs):
        shuffled = order.sample(rows, len(rows))
        for start in range(0, len(rows), dose.batch):
            warm_up, left = min(1.0, (done + 1) / 5), 1.0 - done / steps
            for group in optimizer.param_groups:
                group["lr"] = dose.lr * min(warm_up, left)
            loss = token_loss(model, *encode(shuffled[start : start + dose.batch], tokenizer))
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            on_progress(Progress("training", done, steps, loss.item()))
    tuned.eval()
