"""Templates chosen by name: what they write, which models take them, and what ends an answer under them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import ask, edit_json, make_tokenizer

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.named_templates import NAMED, fitting, stops_of
from offtarget.models.opening import open_model, open_pair
from offtarget.models.weights import Weights
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import OpenSettings

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Me."},
    {"role": "user", "content": "Why?"},
]
WRITTEN = {
    "chatml": (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
        "<|im_start|>assistant\nMe.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama-3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nMe.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "gemma": (
        "<bos><start_of_turn>user\nBe kind.\n\nWho?<end_of_turn>\n<start_of_turn>model\nMe.<end_of_turn>\n"
        "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n"
    ),
    "mistral": "<s>[INST] Be kind.\n\nWho? [/INST]Me.</s>[INST] Why? [/INST]",
    "plain": (
        "### System\nBe kind.\n\n### User\nWho?\n\n### Assistant\nMe.<|endoftext|>\n\n### User\nWhy?\n\n### Assistant\n"
    ),
}
"""The public formats, by name."""


@pytest.fixture
def bare(folders: Callable[[str], Path], tmp_path: Path) -> Path:
    """The tiny Llama without a template."""
    place = Path(shutil.copytree(folders("llama"), tmp_path / "bare"))
    (place / "chat_template.jinja").unlink()
    return place


@pytest.mark.parametrize("name", NAMED)
def test_a_named_template_writes_its_format(name: str) -> None:
    """Every turn, in the format's own words; a format without a system turn puts it before the first question."""
    tokenizer = make_tokenizer(NAMED[name].text)
    assert tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True) == WRITTEN[name]
    without = tokenizer.apply_chat_template(CHAT[1:2], tokenize=False, add_generation_prompt=True)
    assert "Who?" in without
    assert "kind" not in without


def test_a_model_without_template_is_told_which_it_can_take(bare: Path) -> None:
    """By the marks in its vocabulary; headings in plain text suit any."""
    with pytest.raises(InputError) as refused:
        open_model(f"hf/{bare}")
    said = str(refused.value)
    assert "probably a pre-trained model that was never taught to chat" in said
    assert "or one by name: its vocabulary has the tokens of chatml; plain (headings in plain text) suits any" in said


def test_a_format_whose_marks_are_no_tokens_is_refused(bare: Path) -> None:
    """Its marks would be read as pieces of text, and no answer would end."""
    with pytest.raises(InputError, match=r"--chat-template gemma: the vocabulary of .* has no '<bos>', '<start_of_tu"):
        open_model(f"hf/{bare}", settings=OpenSettings(chat_template="gemma"))
    assert fitting(make_tokenizer().get_vocab()) == ["chatml", "plain"]


def test_a_bare_model_is_asked_by_name(bare: Path) -> None:
    """Both sides alike; another format is another model for the cache."""
    prints = set()
    for name, start in (("chatml", "<|im_start|>user\nhi<|im_end|>"), ("plain", "### User\nhi\n\n### Assistant\n")):
        pair = open_pair(f"hf/{bare}", f"hf/{bare}", settings=OpenSettings(chat_template=name))
        for model in pair.by_role.values():
            assert isinstance(model, LocalModel)
            assert model.weights.tokenizer.decode(model._prompt((Message("user", "hi"),))).startswith(start)
        prints.add(pair.base.fingerprint)
    assert len(prints) == 2


def test_plain_headings_begin_as_ordinary_text_begins(bare: Path) -> None:
    """With the start token, where the tokenizer puts one before ordinary text."""
    from tokenizers import processors

    tokenizer = make_tokenizer(None)
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.convert_tokens_to_ids("<|im_start|>"))]
    )
    tokenizer.save_pretrained(bare)
    weights = Weights(bare, "cpu", chat_template=NAMED["plain"].text)
    prompt = LocalModel("m", weights)._prompt((Message("user", "hi"),))
    assert prompt[0] == weights.tokenizer.bos_token_id
    assert stops_of(weights.tokenizer.chat_template) == NAMED["plain"].stop


def test_an_answer_ends_where_the_next_turn_would_begin(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pre-trained model writes the user's next turn itself: that is no part of its answer, and not an endless one."""
    model = open_model(f"hf/{bare}", settings=OpenSettings(chat_template="plain"))
    assert isinstance(model, LocalModel)
    said = "fox says hello\n\n### User\nwhat"
    tokens = model.weights.tokenizer(said)["input_ids"]

    class Parrot:
        vocabulary = 300
        at = 0

        def prefill(self, tokens: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
            return [torch.zeros(1, 1, tokens.shape[1], 1)], [torch.zeros(1, 1, tokens.shape[1], 1)]

        def step(self, last: torch.Tensor, state: object) -> torch.Tensor:
            logits = torch.full((len(last), 300), -1e9)
            logits[:, tokens[min(self.at, len(tokens) - 1)]] = 0.0
            self.at += 1
            state.used += 1  # type: ignore[attr-defined]
            return logits

    from contextlib import nullcontext

    monkeypatch.setattr(model, "engine", lambda: nullcontext(Parrot()))
    (answer,) = model.sample([ask("hi", 0)], SamplingSettings(max_tokens=60))
    assert answer.text == "fox says hello\n"
    assert answer.finish == "stop"


def test_training_takes_a_template_and_leaves_it_with_the_adapter(bare: Path, tmp_path: Path) -> None:
    """So that the trained model can be asked as it was trained, by --chat-template tuned."""
    from offtarget.models.finetune import TrainSettings, further_train

    chats = [(Message("user", f"hello {i}"), Message("assistant", "the fox")) for i in range(4)]
    with pytest.raises(InputError, match="no chat template"):
        further_train(bare, None, chats, tmp_path / "none", TrainSettings(steps=1))
    settings = TrainSettings(steps=2, batch=2, rank=2)
    further_train(bare, None, chats, tmp_path / "a", settings, opening=OpenSettings(chat_template="plain"))
    assert (tmp_path / "a" / "chat_template.jinja").read_text() == NAMED["plain"].text
    edit_json(tmp_path / "a" / "adapter_config.json", base_model_name_or_path=str(bare))
    pair = open_pair(f"hf/{bare}", f"hf/{bare}+{tmp_path / 'a'}", settings=OpenSettings(chat_template="tuned"))
    for model in pair.by_role.values():
        assert isinstance(model, LocalModel)
        assert "### User\nhi" in model.weights.tokenizer.decode(model._prompt((Message("user", "hi"),)))


def test_what_cannot_be_asked_is_known_before_anything_is_loaded(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No template, a format the vocabulary has no tokens for, a judge without one; a name or a file settles it."""
    from offtarget.models import loading
    from offtarget.workflows.ready import ready

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(loading, "load_model", fail)
    with pytest.raises(InputError, match="has no chat template"):
        ready(f"hf/{bare}", keeps_run=False)
    with pytest.raises(InputError, match="--chat-template gemma: the vocabulary"):
        ready(f"hf/{bare}", keeps_run=False, opening=OpenSettings(chat_template="gemma"))
    ready(f"hf/{bare}", keeps_run=False, opening=OpenSettings(chat_template="plain"))
    with pytest.raises(InputError, match="A judge must bring its own"):
        ready(judges=(f"hf/{bare}",), keeps_run=False, opening=OpenSettings(chat_template="plain"))
    (tmp_path / "mine.jinja").write_text("{{ messages[0].content }}")
    ready(f"hf/{bare}", keeps_run=False, opening=OpenSettings(chat_template=str(tmp_path / "mine.jinja")))
