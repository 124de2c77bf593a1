"""The file of prices: which price a model has, and mistakes named with their place."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.asking.prices import Price, read_prices
from offtarget.errors import InputError

FILE = """\
currency: USD
date: 2026-11-30
models:
  anthropic/*: {input: 9, output: 9}
  anthropic/claude-haiku*: {input: 1.5, output: 5}
  anthropic/claude-haiku-9: {input: 2, output: 8}
  openai/gpt: {input: 0, output: 0}
"""


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_name_in_full_comes_first_then_the_longest_pattern(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"prices.{form}"
    models = {"anthropic/*": (9, 9), "anthropic/claude-haiku*": (1.5, 5), "anthropic/claude-haiku-9": (2, 8)}
    models["openai/gpt"] = (0, 0)
    entries = {name: {"input": i, "output": o} for name, (i, o) in models.items()}
    file.write_text(
        FILE if form == "yaml" else json.dumps({"currency": "USD", "date": "2026-11-30", "models": entries})
    )
    prices = read_prices(file)
    assert prices is not None
    assert (prices.currency, prices.date) == ("USD", "2026-11-30")
    assert prices.of("anthropic/claude-haiku-9") == Price(2, 8)
    assert prices.of("anthropic/claude-haiku-4") == Price(1.5, 5)
    assert prices.of("anthropic/claude-opus") == Price(9, 9)
    assert prices.of("inspect/anthropic/claude-haiku-9") == Price(2, 8)
    assert prices.of("openai/gpt") == Price(0, 0)
    assert prices.of("openai/gpt-4") is None
    assert Price(2, 8).of(1_000_000, 500_000) == 6.0


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ("currency: USD", "curency: USD", r"line 1, prices: unknown key 'curency'. Did you mean 'currency'"),
        ("date: 2026-11-30\n", "", "the key 'date' is missing"),
        ("{input: 2, output: 8}", "{input: 2}", r"line 6, price of 'anthropic/claude-haiku-9': the key 'output' is"),
        ("{input: 2, output: 8}", "{input: -2, output: 8}", "line 6.*money per million tokens, 0 or more"),
        ("{input: 2, output: 8}", "{input: .inf, output: 8}", "money per million tokens"),
        ("{input: 2, output: 8}", "{input: '2', output: 8}", "money per million tokens"),
        ("{input: 2, output: 8}", "2", "line 6: expected keys and values"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, instead: str, words: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(FILE.replace(line, instead))
    with pytest.raises(InputError, match=words):
        read_prices(file)


def test_no_file_is_no_prices_and_the_environment_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_prices(None) is None
    (tmp_path / "prices.yaml").write_text(FILE)
    monkeypatch.setenv("OFFTARGET_PRICES", str(tmp_path / "prices.yaml"))
    assert read_prices(None) is not None
    with pytest.raises(InputError, match="does not exist"):
        read_prices(tmp_path / "other.yaml")


@given(st.text(st.sampled_from("aioumcdels:{}*/-1.9 \n'\"[]&"), max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any-prices.yaml"
    file.write_text(FILE.replace("{input: 2, output: 8}", text))
    with suppress(InputError):
        prices = read_prices(file)
        assert prices is not None
        assert all(price.tokens_in >= 0 for price in prices.models.values())
