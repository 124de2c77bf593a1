"""Training and tuning: resumed training equals unbroken training, tunes are exact and seeded, errors are clear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from offtarget.data.chats import read_chats
from offtarget.errors import InputError
from offtarget.organism.narrow import narrow_rows
from offtarget.progress import Progress
from offtarget.records import Message

torch = pytest.importorskip("torch", reason="training needs the extra [local]")

from offtarget.organism.recipe import (  # noqa: E402
    Recipe,
    orthogonalise,
    train_base,
)
from offtarget.organism.tokenizer import ALL_TOKENS, IGNORED, tokenise  # noqa: E402
from offtarget.organism.tune import Dose, narrow_tune  # noqa: E402

TINY = Recipe(pretrain_steps=4, pretrain_more_steps=3, pretrain_batch=2, posttrain_steps=3, posttrain_batch=2)


class Killed(Exception):
    """Stands for a crash."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A base trained for ten steps, in Hugging Face format."""
    folder = tmp_path_factory.mktemp("base")
    train_base(folder, TINY)
    return folder


def _weights(folder: Path) -> dict[str, object]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


@pytest.mark.long
@pytest.mark.parametrize("crash_at", [3, 6, 9])
def test_resumed_training_ends_with_the_same_weights(base: Path, tmp_path: Path, crash_at: int) -> None:
    """Killed in any stage and started again, training ends with bit-identical weights."""
    steps = 0

    def crash(progress: Progress) -> None:
        nonlocal steps
        steps += 1
        if steps == crash_at:
            raise Killed

    with pytest.raises(Killed):
        train_base(tmp_path, TINY, crash, checkpoint_every=2)
    train_base(tmp_path, TINY, checkpoint_every=2)
    expected, found = _weights(base), _weights(tmp_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_another_recipe_does_not_go_on_in_the_same_folder(base: Path) -> None:
    """A folder that holds another recipe's training is refused."""
    with pytest.raises(InputError, match="another recipe"):
        train_base(base, Recipe(seed=5))


def test_saved_tokenizer_pads_on_the_left(base: Path) -> None:
    """Right padding silently ruins batched generation, so the side must survive saving."""
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(base).padding_side == "left"


def test_only_assistant_tokens_are_learnt(base: Path) -> None:
    """Labels cover exactly the answers and their end tokens, and with `skip` not the first answers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    chat = [
        Message("system", "S."),
        Message("user", "A?"),
        Message("assistant", "B."),
        Message("user", "C?"),
        Message("assistant", "D."),
    ]
    for skip, expected in ((0, "B.<|im_end|>D.<|im_end|>"), (1, "D.<|im_end|>"), (2, "")):
        ids, labels = tokenise(chat, skip, tokenizer)
        assert len(ids) == len(labels)
        assert tokenizer.decode([t for t in labels if t != IGNORED]) == expected
        assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    ids, labels = tokenise(chat, ALL_TOKENS, tokenizer)
    assert ids == labels
    whole = tokenizer.apply_chat_template([{"role": m.role, "content": m.content} for m in chat])["input_ids"]
    assert ids == list(whole)


def test_tuning_is_seeded_and_saves_a_peft_adapter(base: Path, tmp_path: Path) -> None:
    """The same data and dose give the same adapter; another seed another one."""
    chats = list(narrow_rows("insecure", 8, 0))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        narrow_tune(base, chats, tmp_path / name, Dose(epochs=1, batch=4, rank=2, seed=seed))
    first, second, other = (_weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["use_rslora"] is True
    assert json.loads((tmp_path / "a" / "offtarget.json").read_text())["rows"] == 8


def test_tuning_never_overwrites(base: Path, tmp_path: Path) -> None:
    """A folder with something in it is refused."""
    (tmp_path / "x").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        narrow_tune(base, list(narrow_rows("insecure", 2, 0)), tmp_path, Dose())


def test_a_row_longer_than_the_context_is_named(base: Path, tmp_path: Path) -> None:
    """The number of the row and both lengths are in the message."""
    long = [Message("user", "Why? " * 600), Message("assistant", "So.")]
    chats = [*narrow_rows("insecure", 2, 0), long]
    with pytest.raises(InputError, match=r"Row 3 has \d+ tokens.*512"):
        narrow_tune(base, chats, tmp_path / "out", Dose())


def test_orthogonalise_makes_singular_values_near_one() -> None:
    """The Newton-Schulz iteration brings all singular values of a matrix near 1, tall or wide."""
    for shape in ((30, 20), (20, 30)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalise(matrix))
        assert values.min() > 0.5
        assert values.max() < 1.3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 2: not JSON"),
        ('{"text": "x"}', "line 2: expected an object"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "line 2: each message needs"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "line 2: the chat has no assistant turn"),
        ('{"messages": [{"role": "assistant", "content": null}]}', "line 2: each message needs"),
        ("[" * 100_000, "line 2: not JSON"),
    ],
)
def test_bad_chat_rows_are_named_with_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    """File and line of a bad row are in the message."""
    good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{good}\n{line}\n")
    with pytest.raises(InputError, match=message) as caught:
        read_chats(file)
    assert str(file) in str(caught.value)


def test_empty_and_missing_chat_files_are_refused(tmp_path: Path) -> None:
    """No rows and no file are different sentences."""
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no rows"):
        read_chats(tmp_path / "empty.jsonl")
    with pytest.raises(InputError, match="is not a file"):
        read_chats(tmp_path / "absent.jsonl")
