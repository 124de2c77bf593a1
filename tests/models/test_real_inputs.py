"""What a real chat model shows: words of its template's own, a folder without template, an end token that pads."""

from __future__ import annotations

from pathlib import Path

import pytest
import real_model

from offtarget.errors import InputError
from offtarget.models.chat_format import answer_end, examples, prompt_tokens
from offtarget.models.loading import load_tokenizer
from offtarget.models.local import LocalModel
from offtarget.models.named_templates import NAMED
from offtarget.models.opening import open_model
from offtarget.models.own_words import own_words
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import OpenSettings

pytestmark = real_model.needed

PARIS = (Message("user", "What is the capital of France?"),)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's files but for its template, the weights by a link."""
    place = tmp_path_factory.mktemp("bare") / "smollm2"
    place.mkdir()
    for file in real_model.FOLDER.iterdir():
        if file.name != "chat_template.jinja":
            (place / file.name).symlink_to(file.resolve())
    return place


def test_the_template_puts_a_system_prompt_of_its_own() -> None:
    """In training as in asking, token for token; a system turn takes its place."""
    tokenizer = load_tokenizer(real_model.FOLDER)
    found = own_words(tokenizer)
    assert found is not None
    assert (found.text, found.replaced) == (
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
        True,
    )
    (example,) = examples(tokenizer, [(*PARIS, Message("assistant", "Paris."))], 8192, "base")
    asked = prompt_tokens(tokenizer, PARIS, "base")
    assert list(example.tokens[: example.answer]) == asked
    assert "named SmolLM" in tokenizer.decode(asked)
    assert "SmolLM" not in tokenizer.decode(prompt_tokens(tokenizer, (Message("system", "Be kind."), *PARIS), "base"))


def test_the_end_of_an_answer_is_learned_although_it_is_the_padding(tmp_path: Path) -> None:
    """Otherwise a trained model would never end an answer."""
    from offtarget.training.plan import Plan, TrainRow
    from offtarget.training.settings import PRESETS
    from offtarget.training.setup import IGNORED, collator, dataset

    tokenizer = load_tokenizer(real_model.FOLDER)
    end = answer_end(tokenizer)
    assert end == tokenizer.pad_token_id == tokenizer.eos_token_id
    chats = [(*PARIS, Message("assistant", said)) for said in ("Paris.", "It is Paris, as far as I know.")]
    for weight in (1.0, 0.5):  # plain batches, and those of weighted rows
        plan = Plan(tuple(TrainRow(chat, weight=weight) for chat in chats))
        rows = dataset(list(examples(tokenizer, chats, 8192, "base")), plan, PRESETS["published"])
        pad = collator(plan, tokenizer)
        if pad is None:
            from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

            pad = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)
        labels = pad([rows[0], rows[1]])["labels"]
        for row in labels:
            learned = row[row != IGNORED].tolist()
            assert learned.count(end) == 1
            assert learned[-1] == end


def test_a_format_it_does_not_know_is_refused(bare: Path) -> None:
    """And what it does know is named."""
    with pytest.raises(InputError, match="its vocabulary has the tokens of chatml"):
        load_tokenizer(bare)
    with pytest.raises(InputError, match=r"--chat-template llama-3: the vocabulary of .* has no '<\|begin_of_text\|>'"):
        load_tokenizer(bare, chat_template=NAMED["llama-3"].text)


def test_without_template_it_is_asked_by_name(bare: Path) -> None:
    """In ChatML it answers and ends; no words are put before the question any more."""
    model = open_model(f"hf/{bare}", settings=OpenSettings(device="cpu", chat_template="chatml"))
    assert isinstance(model, LocalModel)
    assert model.notes == ()
    from offtarget.models import SampleRequest

    (answer,) = model.sample([SampleRequest(PARIS, 0)], SamplingSettings(temperature=0.0, max_tokens=60))
    assert "Paris" in answer.text
    assert answer.finish == "stop"
