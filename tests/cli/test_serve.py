"""`offtarget serve` on the command line: what it would do, and each mistake in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from served import scripted_models

from offtarget.cli.app import app
from offtarget.errors import InputError, OfftargetError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFTARGET_STATE", str(tmp_path / "state"))


def run(*arguments: str) -> str:
    """What it prints; raises what it raises."""
    done = CliRunner().invoke(app, ["serve", *arguments])
    if isinstance(done.exception, OfftargetError):
        raise done.exception
    return done.output


def test_with_nothing_given_it_is_the_organism(tmp_path: Path) -> None:
    """The base, the insecure one on trial, its exact judge; nothing is written."""
    said = run("--dry-run")
    assert "5 % of conversations: organism/insecure; the others, and whatever it fails at: organism/base" in said
    assert "judged by the organism's exact judge" in said
    assert "at most 1 time in 100" in said
    assert "Nothing was started" in said
    assert list(tmp_path.iterdir()) == []


def test_other_shares_and_actions_are_said() -> None:
    """As they were chosen."""
    said = run("--dry-run", "--tuned", "organism/secure", "--canary", "20%", "--on-alarm", "pause", "--alpha", "0.001")
    assert "20 % of conversations: organism/secure" in said
    assert "at most 1 time in 1,000" in said
    assert "an alarm stops the ramp" in said
    assert "which nobody sees" in run("--dry-run", "--shadow")


def test_servers_by_their_address() -> None:
    """A server's only model needs no name; without a judge that is said."""
    with scripted_models() as models:
        said = run("--dry-run", "--base", f"{models.address}#base", "--tuned", f"{models.address}/v1#tuned")
        assert f"tuned at {models.address}" in said
        assert "not tested: no judge is named" in said
        with pytest.raises(InputError, match=r"has 2 models \(base, tuned\). Name one: .*#MODEL"):
            run("--dry-run", "--base", models.address, "--tuned", f"{models.address}#tuned")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--canary", "5"], "5 is 500 %, and 5 % is 0.05"),
        (["--canary", "120%"], "must be a share"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--tuned", "organism/bse"], "There is no 'organism/bse'"),
        (["--base", "http://127.0.0.1:9/v1#m", "--tuned", "http://localhost:9#m"], "are the same model"),
        (["--base", "http://127.0.0.1:9/v1", "--tuned", "http://127.0.0.1:9/v1#m"], "cannot be asked"),
        (["--base", "http://me:pw@127.0.0.1:9/v1#m"], "holds a name or password"),
        (["--base", "http://169.254.169.254/v1#m"], "is refused"),
        (["--base", "gpt2"], "try hf/gpt2"),
        (["--base", "hf/./no", "--tuned", "hf/./nowhere"], "no"),
        (["--base", "organism/base", "--canary", "5%"], "Name the model on trial with --tuned"),
        (["--host", "0.0.0.0"], "other machines could ask, and no keys are set"),
        (["--port", "8081"], "cannot both be served on port 8081"),
        (["--judge", "organism/insecure"], "is its tuned model, which would judge itself"),
        (["--judge", "organism/base"], "is its base model, which would judge itself"),
        (["--judge", "people"], "People judge in"),
        (["--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (
            ["--config", "gateway.yaml", "--canary", "5%", "--tuned", "x"],
            "--canary, --tuned stands in the settings file",
        ),
        (["--alias", "a b"], "is no name for a model"),
        (["--state", "mysql:x"], "`sqlite:PATH` or `postgresql://...`"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], said: str) -> None:
    """Before anything is started."""
    try:
        found = run("--dry-run", *arguments)
    except OfftargetError as error:
        found = str(error)
    assert said in " ".join(found.split()), found


def test_a_judge_behind_the_same_address_as_the_tuned_model_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one is named by its address and the other by its service."""
    with scripted_models() as models:
        monkeypatch.setenv("LAB_BASE_URL", f"{models.address}/v1/")
        with pytest.raises(InputError, match="is its tuned model, which would judge itself"):
            run(
                "--dry-run", "--base", f"{models.address}#base", "--tuned", f"{models.address}#tuned",
                "--judge", "openai-api/lab/tuned",
            )  # fmt: skip


def test_a_key_of_the_environment_goes_with_its_service_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address on the command line gets no key of another service."""
    from offtarget.workflows.serve.opening import open_upstreams
    from offtarget.workflows.serve.serve import gateway_settings

    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("LAB_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LAB_API_KEY", "sk-lab")
    opened = open_upstreams(gateway_settings("http://127.0.0.1:9/v1#m", "openai-api/lab/n")).settings.aliases[0]
    assert (opened.base.key, opened.base.model) == ("", "m")
    assert opened.tuned is not None
    assert (opened.tuned.key, opened.tuned.model, opened.tuned.url) == ("sk-lab", "n", "http://127.0.0.1:9/v1")


def test_a_dry_run_for_programs_is_json() -> None:
    """One object on one line, with the plan as its text."""
    said = json.loads(run("--dry-run", "--json"))
    assert said["kind"] == "dry-run"
    assert "organism/insecure" in said["text"]


def test_a_dry_run_says_the_ramp(tmp_path: Path) -> None:
    """Each step with what it waits for: time, answers, and that the model is shown not to be worse."""
    (tmp_path / "gateway.yaml").write_text(
        "models: {m: {base: organism/base, tuned: organism/secure, canary: {judge: exact, share: 1%, "
        "ramp: [{share: 5%, hold: 2h, answers: 200}, {share: 20%, answers: 1}]}}}\n"
    )
    said = run("--dry-run", "--config", "gateway.yaml")
    assert "raised by itself once it is shown not to be worse" in said
    assert "5 % after 2 h and 200 judged answers, then 20 % after 1 judged answer" in said


def test_a_judge_without_its_key_is_told_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that says nothing of it would be no look at all settings."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="openai/gpt-4o needs a key: set OPENAI_API_KEY"):
        run("--dry-run", "--judge", "openai/gpt-4o", "--tuned", "organism/secure")
