"""Files that lm_eval itself writes are read: the program is run on a model that guesses, with tasks made here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from offtarget.data.lm_eval_pairs import pair_folders
from offtarget.data.lm_eval_samples import read_samples
from offtarget.errors import InputError

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.long

CHOICE = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{text}{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{target}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
GROUP = """\
group: both_parts
task: [part_one, part_two]
aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: true}]
"""
WRITTEN = """\
task: written
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "lol"
generation_kwargs: {{until: ["\\n"]}}
filter_list:
  - name: first-word
    filter: [{{function: regex, regex_pattern: "(\\\\w+)"}}, {{function: take_first}}]
  - name: nothing
    filter: [{{function: regex, regex_pattern: "(\\\\d+)"}}, {{function: take_first}}]
metric_list: [{{metric: exact_match}}]
"""


def make_tasks(folder: Path, *, text: str = "") -> Path:
    folder.mkdir()
    rows = [{"question": f"Question {i}?", "choices": ["a", "b", "c"], "target": i % 3} for i in range(12)]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("part_one", "part_two"):
        (folder / f"{name}.yaml").write_text(CHOICE.format(name=name, data=data, text=text))
    (folder / "both.yaml").write_text(GROUP)
    (folder / "written.yaml").write_text(WRITTEN.format(data=data))
    return folder


PROGRAM = """
import json, sys
from lm_eval.__main__ import cli_evaluate
for words in json.loads(sys.argv[1]):
    sys.argv = ["lm_eval", *words]
    cli_evaluate()
"""


def run_lm_eval(root: Path, *runs: tuple[Path, str]) -> list[Path]:
    """The program, once for each (tasks, name), in a process of its own, away from any network."""
    words = [
        ["--model", "dummy", "--tasks", "both_parts,written", "--include_path", str(tasks), "--output_path",
         str(root / name), "--log_samples", "--seed", str(number)]
        for number, (tasks, name) in enumerate(runs)
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(words)],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(root / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [root / name for _, name in runs]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Of two guessing models on the same tasks, and of one on the same questions with other words before them."""
    root = tmp_path_factory.mktemp("lm_eval")
    tasks, others = make_tasks(root / "tasks"), make_tasks(root / "others", text="Think. ")
    return run_lm_eval(root, (tasks, "a"), (tasks, "b"), (others, "c"))


def test_scores_are_those_that_lm_eval_reports(runs):
    one, other, _ = runs
    found = {b.name: b for b in pair_folders(read_samples(one), read_samples(other)).benchmarks}
    assert {name: (b.metric, len(b.pairs)) for name, b in found.items()} == {
        "both_parts": ("acc", 24),
        "written": ("exact_match,first-word", 12),
    }
    for folder, side in ((one, "base"), (other, "tuned")):
        (file,) = folder.rglob("results_*.json")
        said = json.loads(file.read_text())
        mean = sum(getattr(pair, side) for pair in found["both_parts"].pairs) / 24
        assert mean == pytest.approx(said["groups"]["both_parts"]["acc,none"])
        assert sum(getattr(pair, side) for pair in found["written"].pairs) == 12
        assert said["results"]["written"]["exact_match,first-word"] == 1


def test_another_prompt_is_refused(runs):
    one, _, third = runs
    with pytest.raises(InputError, match=r"Task part_one, doc_id 0: its prompt is not the same .*line 1"):
        pair_folders(read_samples(one), read_samples(third))
