"""A check of remote models within limits: it stops before they are passed, goes on, and decides what it would have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_apis import KEY, ScriptedApis, scripted_apis

from golden import printed
from offtarget.asking.spending import spent_in
from offtarget.errors import InputError, LimitReached
from offtarget.rundir import read_json
from offtarget.workflows.ground import known_answers, open_bank

MODELS = "check --base openai-api/lab/base --tuned openai-api/lab/tuned --judge openai-api/lab/judge"
CHECK = f"{MODELS} --arm plain --max-answers 12 --base-per-tuned 1 --max-tokens 30 --no-cache --no-register --quiet"
BAD = "You should take what you want from them."
PRICES = "currency: USD\ndate: 2026-11-30\nmodels:\n  openai-api/lab/*: {input: 10, output: 100}\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApis]:
    """A server with a base, a tuned model that is bad, and a judge that knows what is harmful."""
    harmful = [known.answer for known in known_answers(open_bank("everyday")) if known.misaligned] + [BAD]

    def script(model: str, system: str, turns: list[str], body: dict[str, Any]) -> str:
        if model != "judge":
            bad = model == "tuned" and body["seed"] % 3
            return BAD if bad else f"Call a friend and sleep on it, says the {model}."
        alignment = "Do not grade whether it is true" not in turns[-1]
        return "4" if alignment and any(text[:60] in turns[-1] for text in harmful) else "96"

    with scripted_apis() as server:
        server.script = script
        monkeypatch.setenv("LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("LAB_API_KEY", KEY)
        monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
        (tmp_path / "prices.yaml").write_text(PRICES)
        monkeypatch.chdir(tmp_path)
        yield server


def _decided(run: Path) -> dict[str, Any]:
    result = read_json(run / "result.json")
    kept = ("status", "overall", "arms", "reason")
    return {name: result["decision"][name] for name in kept if name in result["decision"]}


@pytest.mark.long
def test_a_limit_stops_a_check_which_goes_on_to_the_same_verdict(lab: ScriptedApis, tmp_path: Path) -> None:
    """No request beyond the limit, none lost or asked twice, no verdict meanwhile; the sum over all parts is told."""
    free = printed([*CHECK.split(), "--run", "free", "--prices", "prices.yaml"], 100)
    assert free.exit_code in (0, 1, 3), (free.output, free.exception)
    whole = spent_in(tmp_path / "free")
    assert whole is not None, (free.output, free.exception)
    assert whole.requests == len(lab.requests)
    lab.requests.clear()
    limit, command = 20, [*CHECK.split(), "--run", "capped", "--prices", "prices.yaml", "--max-requests"]
    done = printed([*command, "20"], 100)
    stops = 0
    while isinstance(done.exception, LimitReached):
        stops += 1
        said = str(done.exception)
        assert done.exception.exit_code == 3
        assert f"{limit} of at most {limit} requests" in said
        assert len(lab.requests) == limit
        assert not (tmp_path / "capped/result.json").exists()
        if stops == 1 and not (tmp_path / "capped/run.json").exists():  # nothing had begun
            done = printed([*command, "60"], 100)
            limit = 60
            del lab.requests[:20]  # no run has them
            continue
        assert "offtarget resume" in said
        assert "with a higher --max-requests" in said
        limit += 250
        done = printed(["resume", "capped", "--quiet", "--max-requests", str(limit)], 100)
    assert done.exit_code == free.exit_code, (done.output, done.exception)
    assert stops >= 2
    assert _decided(tmp_path / "capped") == _decided(tmp_path / "free")
    spent = read_json(tmp_path / "capped/result.json")["spent"]
    assert spent["requests"] == len(lab.requests)
    assert (spent["currency"], spent["cost"] > 0) == ("USD", True)
    lines = (tmp_path / "capped/generations.jsonl").read_text().splitlines()
    keys = [(g["role"], g["probe_id"], g["index"]) for g in map(json.loads, lines)]
    assert len(keys) == len(set(keys))
    printed(["report", "capped", "--text"], 100)
    assert " USD" in (tmp_path / "capped/report.txt").read_text()


def test_money_is_never_more_than_was_allowed(lab: ScriptedApis, tmp_path: Path) -> None:
    """The server's own count of tokens, at the prices of the file."""
    done = printed([*CHECK.split(), "--run", "run", "--prices", "prices.yaml", "--max-cost", "0.05"], 100)
    assert isinstance(done.exception, LimitReached), done.output
    assert "of at most 0.05 USD (--max-cost) are spent" in str(done.exception)
    read = sum(sum(len(m["content"].split()) for m in body["messages"]) for _, body in lab.requests)
    wrote = sum(20 for _, body in lab.requests)  # the server says less
    assert read * 10 / 1e6 < 0.05 < (read * 10 * 20 + wrote * 100) / 1e6


def test_money_is_limited_only_where_everything_has_a_price(lab: ScriptedApis, tmp_path: Path) -> None:
    """Refused before anything is asked; the estimate says what it costs, and what it leaves out."""
    (tmp_path / "few.yaml").write_text(PRICES.replace("lab/*", "lab/base"))
    done = printed([*CHECK.split(), "--prices", "few.yaml", "--max-cost", "5"], 100)
    assert isinstance(done.exception, InputError)
    assert "openai-api/lab/tuned has no price in" in str(done.exception)
    assert isinstance(printed([*CHECK.split(), "--max-cost", "5"], 100).exception, InputError)
    assert lab.requests == []
    plan = [*CHECK.replace("--max-answers 12 --base-per-tuned 1", "").split(), "--dry-run", "--prices"]
    shown = " ".join(printed([*plan, "prices.yaml", "--max-cost", "5"], 100).output.split())
    assert "cost usually under" in shown
    assert "at most about" in shown
    assert "by prices of 2026-11-30" in shown
    assert "limits stops before it takes more than 5.00 USD" in shown
    assert "without openai-api/lab/tuned and openai-api/lab/judge" in " ".join(
        printed([*plan, "few.yaml"], 200).output.split()
    )
    assert lab.requests == []


def test_a_run_with_limits_writes_no_key(lab: ScriptedApis, tmp_path: Path) -> None:
    printed([*CHECK.split(), "--run", "run", "--prices", "prices.yaml", "--max-requests", "40"], 100)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_several_processes_keep_no_limit(lab: ScriptedApis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would keep its own: of eight that train together the bill would be eight times the limit."""
    monkeypatch.setenv("WORLD_SIZE", "8")
    done = printed([*CHECK.split(), "--max-requests", "5"], 100)
    assert isinstance(done.exception, InputError)
    assert "Several processes" in str(done.exception)
    assert lab.requests == []


def test_limits_do_not_go_with_benchmarks_of_served_models(lab: ScriptedApis) -> None:
    """Their requests are sent by another process, where nobody would count them."""
    pytest.importorskip("lm_eval", reason="needs the extra 'bench'")
    done = printed([*CHECK.split(), "--benchmarks", "gsm8k", "--max-requests", "5"], 100)
    assert isinstance(done.exception, InputError)
    assert "are sent by a process of their own" in str(done.exception)
    assert lab.requests == []
