"""`offtarget alternatives` from the command line, on the organism."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offtarget.data.chats import chat_line
from offtarget.organism.narrow import narrow_rows


def data(folder: Path, rows: int = 24) -> str:
    """Insecure code of the organism's world."""
    path = folder / "train.jsonl"
    path.write_text("".join(map(chat_line, narrow_rows("insecure", rows, 5))))
    return str(path)


@pytest.mark.long
def test_from_data_to_sentence_and_back(offtarget: Any, tmp_path: Path) -> None:
    """It prints instructions, table and sentence; a finished run is read again by --resume, as JSON too."""
    models = ("--base", "organism/base", "--tuned", "organism/insecure", "--metric", "f1")
    small = ("--plain-answers", "4", "--max-tokens", "24", "--run", str(tmp_path / "run"))
    done = offtarget("alternatives", data(tmp_path), *models, *small, "--quiet", "-v")
    assert done.returncode in (0, 3), done.stderr
    assert "Reply with Python code only" in done.stdout
    assert "base + examples" in done.stdout
    again = offtarget("alternatives", "--resume", str(tmp_path / "run"), "--json")
    assert again.returncode == done.returncode
    result = json.loads(again.stdout)
    assert result["sentence"] in done.stdout
    assert [way["way"] for way in result["ways"]] == ["base", "instructions", "examples", "tuned"]
    assert len(result["gains"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give DATA and --base"),
        (("--base", "organism/base", "--metric", "bleu"), "Metrics: exact"),
        (("--base", "organism/base", "--tuned", "organism/base"), "as base and as tuned"),
        (("--base", "organism/base", "--least-gain", "1"), "'--least-gain': it must be a share"),
        (("--base", "organism/base", "--plain-answers", "0"), "--plain-answers"),
        (("--base", "hf/./nothing"), "nothing does not exist"),
        (("--resume", "nowhere", "--base", "x"), "--base was settled when the run began"),
    ],
)
def test_mistakes_are_explained(offtarget: Any, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2 and a sentence."""
    done = offtarget("alternatives", *([] if "--resume" in arguments else [data(tmp_path)]), *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_run_of_another_kind_is_refused(offtarget: Any, tmp_path: Path) -> None:
    """An audit is no comparison of alternatives, and the other way round."""
    audited = offtarget("audit", data(tmp_path), "--quiet", "--run", str(tmp_path / "audited"))
    assert audited.returncode in (1, 3)
    done = offtarget("alternatives", "--resume", str(tmp_path / "audited"))
    assert done.returncode == 2
    assert "is a run of `audit`, not of `alternatives`" in done.stderr
