"""A user's own task: its data begins at its own folder, mistakes are named, and nothing in it is run."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.benchmarks.chosen import chosen
from offtarget.benchmarks.own import find_task, read_task
from offtarget.errors import InputError
from offtarget.records.benchmark_runs import BenchmarkChoice

TASK = """
task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: right
metric_list:
  - metric: acc
"""


def written(folder: Path, text: str = TASK) -> Path:
    (folder / "rows.jsonl").write_text(json.dumps({"question": "q", "choices": ["a", "b"], "right": 0}) + "\n")
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_data_begins_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.chdir("/")
    task = read_task(path)
    assert task.config is not None
    assert task.metric == "acc"
    assert json.loads(task.config)["dataset_kwargs"] == {"data_files": {"test": str(tmp_path.resolve() / "rows.jsonl")}}


def test_values_of_included_files_are_overridden(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "more.yaml").write_text("include: mine.yaml\ntask: more\nnum_fewshot: 2\n")
    config = json.loads(read_task(tmp_path / "more.yaml").config or "")
    assert (config["task"], config["num_fewshot"], config["doc_to_target"]) == ("more", 2, "right")


def test_a_metric_of_which_less_is_better_never_scores_items(tmp_path: Path) -> None:
    """Else a model that became harmful would gain on it."""
    less, more = "  - metric: exact_match\n    higher_is_better: false\n", "  - metric: acc\n"
    assert read_task(written(tmp_path, TASK.replace(more, less + more))).metric == "acc"
    with pytest.raises(InputError, match=r"mine\.yaml, line \d+.*less of it is better"):
        read_task(written(tmp_path, TASK.replace(more, less)))
    with pytest.raises(InputError, match="must be true or false"):
        read_task(written(tmp_path, TASK.replace(more, less.replace("false", "'no'"))))


@pytest.mark.parametrize(
    "line",
    [
        "process_docs: !function evil.run",
        "doc_to_text: !function evil.run",
        "metadata: {deep: [!function evil.run]}",
        "metadata: !!python/object/apply:os.system ['touch gone']",
    ],
)
def test_code_is_refused_with_its_line_unless_the_file_is_trusted(tmp_path: Path, line: str) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')\n")
    kept = [one for one in TASK.splitlines() if not one.startswith(line.partition(":")[0] + ":")]
    path = written(tmp_path, "\n".join([*kept, line]) + "\n")
    with pytest.raises(InputError, match=r"mine\.yaml, line \d+.*--trust-remote-code"):
        read_task(path)
    (tmp_path / "outer.yaml").write_text("include: mine.yaml\ntask: outer\n")
    with pytest.raises(InputError, match="--trust-remote-code"):
        read_task(tmp_path / "outer.yaml")
    if "!function" in line:
        assert read_task(path, trusted=True).file == str(path.resolve())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("output_type:", "output_typ:", "Did you mean 'output_type'"),
        ("dataset_path: json", "dataset_path: pandas", "may run code"),
        ("dataset_path: json", "dataset_path: ./rows.jsonl", "dataset_path: json"),
        ("rows.jsonl", "none.jsonl", "does not exist"),
        ("rows.jsonl", "https://example.org/rows.jsonl", "names an address"),
        ("test_split: test", "num_fewshot: 1", "neither 'test_split'"),
        ("metric: acc", "metric: ./score.py\n    hf_evaluate: true", "fetched and run"),
        ("metric: acc", "metric: bleu", "from 0 to 1"),
        ("multiple_choice", "loglikelihood_rolling", "single items"),
        ("task: mine", "task: mmlu", "another name"),
        ("task: mine", "task: ../mine", "letters, digits"),
        ("task: mine", "task: mine\nunsafe_code: true", "run as programs"),
        ("task: mine", "task: mine\nuse_prompt: promptsource:x", "not read here"),
        ("task: mine", "group: mine\ntask: [a]", "group of tasks"),
        ("task: mine", "task: mine\ninclude: mine.yaml", "includes itself"),
        ("data_files: {test: rows.jsonl}", "data_files: {test: rows.jsonl}, revision: x", "'revision'"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_task(written(tmp_path, TASK.replace(old, new)))
    assert "mine.yaml" in str(caught.value)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_task_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "mine.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(InputError):
        read_task(path)


@given(key=st.sampled_from(TASK.split()), value=st.text(st.characters(codec="utf-8"), max_size=30))
def test_a_damaged_task_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, key: str, value: str) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    with suppress(InputError):
        read_task(written(folder, TASK.replace(key, value, 1)))


def test_tasks_of_a_folder_are_found_by_name_and_asked_once(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "broken.yaml").write_text("{")
    assert find_task(tmp_path, "mine") == read_task(tmp_path / "mine.yaml")
    assert find_task(tmp_path, "other") is None
    both = BenchmarkChoice(("mine", str(tmp_path / "mine.yaml")), include=str(tmp_path))
    with pytest.raises(InputError, match="asked for twice"):
        chosen(both, trusted=False, rule="", longest=1)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"offtarget\[bench\]"):
        chosen(BenchmarkChoice(("mmlu",)), trusted=False, rule="", longest=1)


def test_a_file_that_is_no_task_is_told_from_a_name() -> None:
    with pytest.raises(InputError, match=r"NAME\.yaml"):
        chosen(BenchmarkChoice(("./mine.txt",)), trusted=False, rule="", longest=1)
