"""The container and Kubernetes examples: what they hold is read, and the container's command runs as it stands."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from served import ask, scripted_models

from offtarget.records.gateway import GatewaySettings
from offtarget.serve.gateway.settings_file import read_settings

FOLDER = Path(__file__).parents[2] / "examples" / "container"
SECRETS = {
    "ADMIN_KEY_SHA256": hashlib.sha256(b"admin-key").hexdigest(),
    "CLIENT_KEY_SHA256": hashlib.sha256(b"client-key").hexdigest(),
    "STATE_URL": "sqlite:gateway.sqlite",
}


def command() -> list[str]:
    """What the container runs."""
    found = re.search(r"^CMD (\[.*\])$", (FOLDER / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return list(json.loads(found[1]))


def documents() -> dict[str, Any]:
    """What stands in the Kubernetes file, by kind and name."""
    text = (FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(text)}


def settings_of(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GatewaySettings:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_both_settings_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the image and that of the cluster; strangers are let in nowhere."""
    for text in (
        (FOLDER / "gateway.yaml").read_text(encoding="utf-8"),
        documents()["ConfigMap/gateway"]["data"]["gateway.yaml"],
    ):
        found = settings_of(text, tmp_path, monkeypatch)
        assert found.keys[0].sha256 == SECRETS["CLIENT_KEY_SHA256"]
        assert found.admin_key_sha256 == SECRETS["ADMIN_KEY_SHA256"]
        assert found.aliases[0].canary.judge


def test_the_deployment_fits_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command, the ports of the settings, probes on addresses that exist, and time enough to drain."""
    from offtarget.serve.gateway.supervisor import STOP_SECONDS

    found = documents()
    deployment = found["Deployment/gateway"]["spec"]["template"]["spec"]
    (container,) = deployment["containers"]
    settings = settings_of(found["ConfigMap/gateway"]["data"]["gateway.yaml"], tmp_path, monkeypatch)
    assert container["args"] == command()
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": settings.port, "admin": settings.admin_port}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] in ("/readyz", "/healthz")
        assert container[probe]["httpGet"]["port"] in ports
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert deployment["terminationGracePeriodSeconds"] > pause + STOP_SECONDS
    labels = found["Deployment/gateway"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service/gateway"]["spec"]["selector"].items() <= labels.items()
    volumes = {one["name"] for one in deployment["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes


def test_what_the_image_copies_is_there() -> None:
    """Every file that the container file names."""
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (FOLDER.parents[1] / name).exists()] == []


@pytest.mark.long
def test_the_command_of_the_container_serves_and_ends(tmp_path: Path) -> None:
    """Outside a container, on free ports, with scripted models in place of vLLM and no judge."""
    with scripted_models() as models:
        text = (FOLDER / "gateway.yaml").read_text(encoding="utf-8").replace("http://vllm:8000/v1", models.address)
        text = re.sub(r"^( *)judge: .*\n(?:.*\n)*", "", text, flags=re.MULTILINE)
        text = text.replace("port: 8080", "port: 0").replace("port: 8081", "port: 0").replace("0.0.0.0", "127.0.0.1")
        (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")
        line = [str(tmp_path / "gateway.yaml") if word.endswith(".yaml") else word for word in command()[1:]]
        environment = {**os.environ, **SECRETS, "OFFTARGET_STATE": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "offtarget", *line], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            said = (json.loads(each) for each in process.stdout)
            ready = next(one for one in said if one["kind"] == "ready")
            address = ready["address"]
            assert httpx.get(f"{address}/readyz").status_code == 200
            with httpx.Client(base_url=address) as client:
                assert ask(client).status_code == 401
            with httpx.Client(base_url=address, headers={"authorization": "Bearer client-key"}) as client:
                assert ask(client).status_code == 200
            assert httpx.get(f"{ready['admin']}/readyz").status_code == 200
            process.send_signal(signal.SIGTERM)
            rest = process.communicate(timeout=60)[0]
            assert process.returncode == 0
            assert "client-key" not in rest
            assert "admin-key" not in rest
        finally:
            process.kill()
            process.communicate()
