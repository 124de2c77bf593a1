"""Model cards: `model-index` is what the Hub reads, and whatever else a card holds stays byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import redteam_runs
import yaml
from check_runs import MADE, checked, drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.pages.check.loading import load_run
from offtarget.pages.check.reports.card import block_of, result_of
from offtarget.pages.model_card import BEGIN, END, index_of, merged
from offtarget.workflows.runs.report import report_text
from offtarget.workflows.verify.into_card import into_card

hub = pytest.importorskip("huggingface_hub")

CARD = """---
# chosen by us
license: apache-2.0
model-index:
- name: tuned
  results:
  - task: {type: text-generation}
    dataset: {type: cais/mmlu, name: MMLU}
    metrics:
    - {type: accuracy, value: 0.61}
tags: [ "medical" ]   # kept
---

# Our model

Some *words*.
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A failed check."""
    return Path(checked(tmp_path_factory.mktemp("card") / "run", drawn(0.6)).run)


def test_the_hub_reads_the_metadata(run: Path) -> None:
    card = hub.ModelCard(report_text(run, "card"))
    found = {one.metric_type: one.metric_value for one in card.data.eval_results}
    assert found["verdict"] == "FAIL"
    assert 0 < found["misaligned_difference_low"] < found["misaligned_rate"] <= 1
    assert found["misaligned_rate_base"] == 0
    assert card.text.strip().startswith(BEGIN)
    assert card.text.strip().endswith(END)


def test_everything_else_in_a_card_stays(run: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(CARD)
    assert into_card(run, tmp_path) == readme
    once = readme.read_text()
    assert "# chosen by us\nlicense: apache-2.0\n" in once
    assert 'tags: [ "medical" ]   # kept\n' in once
    assert "# Our model\n\nSome *words*.\n" in once
    results = yaml.safe_load(once.split("---")[1])["model-index"][0]["results"]
    assert [one["dataset"]["type"] for one in results] == ["cais/mmlu", "offtarget/four questions"]
    into_card(run, readme)
    assert readme.read_text() == once
    assert once.count(BEGIN) == once.count(END) == 1


def test_a_later_result_takes_the_place_of_the_earlier(run: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_bytes(CARD.replace("\n", "\r\n").encode())
    into_card(run, readme)
    into_card(Path(MADE["pass"](tmp_path).run), readme)
    text = readme.read_bytes().decode()
    assert "offtarget: PASS" in text
    assert "offtarget: FAIL" not in text
    assert text.count("\n") == text.count("\r\n")


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("---\nlicense: [\n---\n", "no YAML"),
        ("---\n- a\n---\n", "no mapping"),
        ("---\nlicense: mit\n", "never end"),
        ("---\nmodel-index: 3\n---\n", "no list of models"),
        (f"# A\n{END}\n{BEGIN}\n", "not there once each"),
    ],
)
def test_a_broken_card_is_refused_and_kept(card: str, words: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(card)
    with pytest.raises(InputError, match=words):
        into_card(run, tmp_path)
    assert (tmp_path / "README.md").read_text() == card


def test_any_card_without_metadata_keeps_its_text(run: Path) -> None:
    loaded = load_run(run)
    made, index = block_of(loaded), index_of(result_of(loaded))

    @settings(max_examples=60)
    @given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=200))
    def kept(body: str) -> None:
        if not body.lstrip("\ufeff").startswith("---"):
            assert body in merged(body, made, index, "README.md")

    kept()


def test_a_red_team_does_not_take_the_place_of_a_check_and_says_what_to_do(tmp_path: Path) -> None:
    """Its PASS over the FAIL of a check would be the only thing that a reader of the card sees."""
    run = redteam_runs.OUTCOMES["undecided"](tmp_path / "run").run
    with pytest.raises(InputError) as caught:
        into_card(run, tmp_path / "README.md")
    assert "Check with --redteam, whose result says both." in str(caught.value)
    assert f"`offtarget report {run} --card`" in str(caught.value)
    assert not (tmp_path / "README.md").exists()
