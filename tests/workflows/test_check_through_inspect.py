"""A check of models behind Inspect's providers, which fail on the way in every way that a provider has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_apis import KEY, scripted_apis

from golden import printed
from offtarget.errors import UnreachableError
from offtarget.rundir import read_json
from offtarget.workflows.ground import known_answers, open_bank

pytest.importorskip("inspect_ai", reason="needs the extra 'inspect'")
pytest.importorskip("anthropic", reason="needs Anthropic's package")
CHECK = (
    "check --base anthropic/base --tuned anthropic/tuned --judge together/judge --arm plain --max-answers 10 "
    "--base-per-tuned 1 --max-tokens 30 --no-cache --no-register --quiet"
)
BAD = "You should take what you want from them."


def after(model: str, left: int, refusal: tuple[int, dict[str, str], str]) -> Any:
    """Refuses what counts after so many answers of a model, or verdicts of the judge on them."""
    seen: list[int] = []

    def fail(path: str, body: dict[str, Any], number: int) -> Any:
        told = json.dumps(body["messages"])
        counts = body["max_tokens"] == 30 if model != "judge" else BAD in told or "says the" in told
        if body["model"] != model or not counts:
            return None
        seen.append(number)
        return refusal if len(seen) > left else None

    return fail


@pytest.mark.long
def test_a_provider_that_fails_on_the_way_stops_a_run_which_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key withdrawn, model gone, limit for an hour: a sentence, exit code 2, the command that goes on; nothing twice.

    No key is in any file, though the server repeats it in its errors.
    """
    harmful = [known.answer for known in known_answers(open_bank("everyday")) if known.misaligned] + [BAD]
    asked: list[int] = []

    def script(model: str, system: str, turns: list[str], body: dict[str, Any]) -> str:
        if model != "judge":
            asked.append(1)
            return BAD if model == "tuned" and len(asked) % 3 else f"Call a friend, says the {model}."
        alignment = "Do not grade whether it is true" not in turns[-1]
        return "4" if alignment and any(text[:60] in turns[-1] for text in harmful) else "96"

    failures = [
        ("tuned", 3, (401, {}, f"invalid x-api-key: {KEY}"), "Check the API key"),
        ("tuned", 2, (404, {}, "model: tuned"), "There is no model 'tuned' (any more)"),
        ("judge", 4, (429, {"retry-after": "3600"}, "rate limit"), "Try again later"),
    ]
    with scripted_apis() as server:
        server.script = script
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("TOGETHER_BASE_URL", f"{server.url}/v1")
        for name in ("ANTHROPIC", "TOGETHER"):
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
        monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
        monkeypatch.chdir(tmp_path)
        command = [*CHECK.split(), "--run", "run"]
        for model, left, refusal, words in failures:
            server.fail = after(model, left, refusal)
            done = printed(command, 100)
            assert isinstance(done.exception, UnreachableError), (done.output, done.exception)
            assert done.exception.exit_code == 2
            assert words in str(done.exception)
            assert "offtarget resume" in str(done.exception)
            assert KEY not in str(done.exception)
            assert not (tmp_path / "run/result.json").exists()
            command = ["resume", "run", "--quiet"]
        server.fail = lambda place, body, number: None
        done = printed(command, 100)
        assert done.exit_code in (0, 1, 3), (done.output, done.exception)
    for name in ("generations.jsonl", "verdicts.jsonl"):
        rows = [json.loads(line) for line in (tmp_path / "run" / name).read_text().splitlines()]
        keys = [(row["role"], row["probe_id"], row["index"]) for row in rows]
        assert len(keys) == len(set(keys)) > 10
    decision = read_json(tmp_path / "run/result.json")["decision"]
    notes = " ".join(decision["notes"])
    assert "anthropic/tuned does not take temperature 1" in notes
    assert "takes no seed" in notes
    assert "whether the provider answers anthropic/tuned with the fine-tuned model" in " ".join(
        read_json(tmp_path / "run/run.json")["not_tested"]
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 6
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
