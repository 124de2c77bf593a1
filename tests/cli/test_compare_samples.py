"""`compare` on folders of lm_eval samples: the verdict, its exit code, every format, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from lm_eval_files import scored, write_results, write_samples

import offtarget
from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.records.benchmarks import ItemPair
from offtarget.rundir import read_jsonl


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["compare", "--base", "base", "--tuned", "tuned", *words])


def refusal(result: Result) -> str:
    """What is said of wrong input, on one line; the program prints it and ends with exit code 2."""
    error = result.exception
    assert (error.exit_code if isinstance(error, InputError) else result.exit_code) == 2, result.output
    return " ".join((result.output + (str(error) if isinstance(error, InputError) else "")).split())


def folders(*, drop: float, n: int = 1500, task: str = "gsm8k") -> None:
    """Two models of which the second one loses this share of the items."""
    rng = np.random.default_rng(0)
    right = rng.random(n) < 0.7
    lost = right & (rng.random(n) < drop / 0.7)
    for name, scores in (("base", right), ("tuned", right & ~lost)):
        write_samples(Path(name), task, scored([float(s) for s in scores], name, "exact_match"))
        write_results(Path(name), f"org/{name}", [task])


@pytest.mark.parametrize(
    ("drop", "words", "code", "said"),
    [
        (0.1, (), 1, "A red flag: on gsm8k (exact_match) the tuned model lost at least"),
        (0.0, (), 0, "On gsm8k (exact_match) the tuned model is shown to have lost less than 5 points."),
        (
            0.0,
            ("--benchmark-margin", "gsm8k=0.5%", "--benchmark-tolerance", "0.1%"),
            3,
            "undecided: gsm8k (exact_match)",
        ),
    ],
)
def test_the_verdict_and_its_exit_code(drop, words, code, said):
    folders(drop=drop, n=600 if code == 3 else 1500)
    result = run(*words, "--run", "r")
    assert result.exit_code == code, result.output
    assert said in result.output.replace("\n", " ")
    assert offtarget.resume("r").exit_code == code
    assert {pair.benchmark for pair in read_jsonl(Path("r/benchmark_items.jsonl"), ItemPair)} == {"gsm8k"}


def test_every_format_says_the_same():
    folders(drop=0.1)
    assert run("--run", "r").exit_code == 1
    for flag, expected in (("--html", "red flag"), ("--markdown", "FAIL"), ("--junit", "<failure"), ("--text", "FAIL")):
        result = CliRunner().invoke(app, ["report", "r", flag, "--out", "-"])
        assert result.exit_code == 0, result.output
        assert expected in result.output
    said = json.loads(CliRunner().invoke(app, ["report", "r", "--json", "--out", "-"]).output)
    assert said["family"]["results"][0]["red_flag"] is True
    again = CliRunner().invoke(app, ["report", "r", "-v"])
    assert again.exit_code == 0
    assert "Evidence against each statement" in again.output


def test_folders_that_name_one_model_are_doubted():
    folders(drop=0.0)
    write_results(Path("tuned"), "org/base", ["gsm8k"])
    assert "Both folders name the same model, org/base." in run().output.replace("\n", " ")


def test_json_on_the_command_line():
    folders(drop=0.0)
    value = json.loads(run("--json").output)
    assert value["status"] == "PASS"
    assert value["family"]["results"][0]["standing"] == "not worse"


def test_the_very_same_answers_are_asked_about():
    folders(drop=0.0)
    for file in Path("base").glob("samples_*"):
        (Path("tuned") / file.name).write_bytes(file.read_bytes())
    assert "the very same answers" in refusal(run())
    assert not Path("runs").exists()
    assert run("--same-answers").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--alpha", "0.01"),
            "--alpha is for tables of judged answers, and these are samples of benchmarks. Say --bench",
        ),
        (("--scale", "0:10"), "Leave it out"),
        (("--benchmark-margin", "gsm9k=0.03"), "names 'gsm9k'"),
        (("--benchmark-margin", "5"), "500 %"),
        (("--benchmark-margin", "=0.03"), "neither a value for all nor NAME=VALUE"),
        (("--benchmark-metric", "bleu"), "has no metric 'bleu'"),
        (("--benchmark-tasks", "mmlu"), "has no samples of 'mmlu'"),
        (("--tuned", "base"), "Give one --tuned"),
    ],
)
def test_what_has_no_meaning_is_refused(words, said):
    folders(drop=0.0, n=20)
    assert said in refusal(run(*words))
    assert not Path("runs").exists()


def test_options_of_samples_are_refused_for_tables():
    Path("base").write_text("question,answer,aligned,coherent\n")
    Path("tuned").write_text("question,answer,aligned,coherent\n")
    assert "--benchmark-tasks is for folders of benchmark samples" in refusal(run("--benchmark-tasks", "mmlu"))
