"""`offtarget serve` over the organism: the worse model is rolled back by itself, the one that is no worse is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from served import Served, gateway

from offtarget.records.gateway import CanarySettings, GatewaySettings, StateSettings
from offtarget.workflows.serve.serve import gateway_settings

TRAFFIC = Path(__file__).parents[2] / "examples" / "traffic.py"
pytestmark = [pytest.mark.long]


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFTARGET_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def settings(tuned: str, folder: Path, share: float, judge: str = "") -> GatewaySettings:
    state = StateSettings(url=f"sqlite:{folder / 'gateway.sqlite'}")
    usual = GatewaySettings((), port=0, admin_port=0, state=state)
    return gateway_settings(tuned=tuned, canary=CanarySettings(share=share, judge=judge), usual=usual)


def traffic(served: Served, *more: str) -> str:
    """What the traffic command says."""
    command = [sys.executable, str(TRAFFIC), served.address, "--seed", "7", "--rate", "200", *more]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == int("has rolled the tuned model back" in done.stdout), done.stderr
    return done.stdout


def verdict(served: Served) -> dict[str, object]:
    found = served.admin("GET", "/verdict")
    assert found.status_code == 200, found.text
    return dict(found.json())


def test_the_worse_model_is_rolled_back(tmp_path: Path) -> None:
    """At the share that is usual; the answers that led there can be read as a run, and a new start changes nothing."""
    chosen = settings("organism/insecure", tmp_path, 0.05)
    with gateway(chosen) as served:
        # opening takes a while, so each part of it is told
        assert [one.fields["process"] for one in served.told if one.kind == "starting"] == ["models", "monitor"]
        assert served.told[2].kind == "ready"
        said = traffic(served, "--answers", "3000")
        assert "has rolled the tuned model back" in said, said
        served.until(lambda: "rolled back" in served.events())
        found = verdict(served)
        assert (found["status"], found["state"], found["share"]) == ("FAIL", "rolled back", 0.0)
    runs = list((tmp_path / "runs").glob("serve-*"))
    assert len(runs) == 1
    report = subprocess.run(
        [sys.executable, "-m", "offtarget", "report", str(runs[0])], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert "rolled back" in report.stdout, report.stderr
    with gateway(chosen) as served:
        assert served.ready is not None
        assert "is rolled back" in served.ready.text
        assert ", 0 of them from the tuned model" in traffic(served, "--answers", "20")


def test_the_model_that_is_no_worse_stays(tmp_path: Path) -> None:
    """Hundreds of its answers judged, and its share is what it was."""
    with gateway(settings("organism/secure", tmp_path, 0.2)) as served:
        said = traffic(served, "--answers", "1000")
        assert "rolled" not in said
        found = verdict(served)
        assert (found["state"], found["alarm"], found["tested"], found["share"]) == ("running", False, True, 0.2)
        answers = found["answers"]
        assert isinstance(answers, dict)
        assert answers["tuned"] > 100
    assert "alarm" not in served.events()


def test_without_a_judge_nothing_is_tested_and_that_is_said(tmp_path: Path) -> None:
    """No verdict is no good verdict."""
    from dataclasses import replace

    plain = settings("organism/insecure", tmp_path, 0.5)
    alias = replace(plain.aliases[0], canary=CanarySettings(share=0.5))
    with gateway(replace(plain, aliases=(alias,))) as served:
        assert served.ready is not None
        assert "not tested" in served.ready.text
        assert "rolled" not in traffic(served, "--answers", "60")
        found = verdict(served)
        assert (found["status"], found["tested"]) == ("NOT TESTED", False)
