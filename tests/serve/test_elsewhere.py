"""The examples for other gateways, each asked as its caller asks: by its documented conditions and status codes."""

from __future__ import annotations

import ast
import hashlib
import http.server
import importlib.util
import json
import operator
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from test_watch import Serving, serving
from traffic_logs import BASE, TUNED, line, traffic

from offtarget.records.gateway import CanarySettings, StateSettings
from offtarget.workflows.serve.watch import WatchSettings

EXAMPLES = Path(__file__).parents[2] / "examples" / "elsewhere"
READER = "reader-key-0123456789"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatchSettings:
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    return WatchSettings(
        tmp_path / "answers.jsonl", (BASE,), (TUNED,), canary=CanarySettings(judge="exact", probe_seconds=0.0),
        state=StateSettings(f"sqlite:{tmp_path / 'watch.sqlite'}"), port=0,
        reader_key_sha256=hashlib.sha256(READER.encode()).hexdigest(),
    )  # fmt: skip


@contextmanager
def standing(settings: WatchSettings, status: str) -> Iterator[Serving]:
    """A watch whose verdict has this status."""
    lines = {"NOT TESTED": "", "UNDECIDED": "".join(traffic(150, bad=0.0)), "FAIL": "".join(traffic(1500, bad=0.6))}
    settings.traffic.write_text(lines[status] or line(BASE, "c", bad=False))
    with serving(settings) as one:
        one.until(lambda found: found["status"] == status)
        yield one


# Argo Rollouts


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


def condition(text: str, result: Any) -> bool:
    """A condition of an AnalysisTemplate on the JSON that came, for the part of its language that the examples use."""
    text = re.sub(r"!(?!=)", " not ", text.replace("&&", " and ").replace("||", " or "))

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body):
                return value(body)
            case ast.Constant(constant):
                return constant
            case ast.Name("result"):
                return result
            case ast.Name("true" | "false" as word):
                return word == "true"
            case ast.Attribute(of, name):
                return value(of)[name]
            case ast.UnaryOp(ast.Not(), operand):
                return not truth(operand)
            case ast.BoolOp(how, values):
                return (all if isinstance(how, ast.And) else any)(truth(one) for one in values)
            case ast.Compare(left, [how], [right]):
                return _OPERATORS[type(how)](value(left), value(right))
        raise AssertionError(ast.dump(node))

    def truth(node: ast.AST) -> bool:
        found = value(node)
        assert isinstance(found, bool), "Argo refuses a condition on what is no boolean"
        return found

    return truth(ast.parse(text.strip(), mode="eval"))


def argo_measures(metric: dict[str, Any], arguments: dict[str, str]) -> str:
    """One measurement of a web metric: its phase by the rules of Argo's documentation."""
    assert metric["successCondition"]
    assert metric["failureCondition"]
    web = metric["provider"]["web"]
    assert web.get("method", "GET") == "GET"
    assert web["jsonPath"] == "{$}"

    def filled(text: str) -> str:
        return re.sub(r"\{\{\s*args\.([\w-]+)\s*\}\}", lambda match: arguments[match[1]], text)

    headers = {one["key"]: filled(one["value"]) for one in web["headers"]}
    try:
        with urllib.request.urlopen(urllib.request.Request(filled(web["url"]), headers=headers), timeout=10) as reply:
            result = json.loads(reply.read())
    except urllib.error.HTTPError as error:
        error.close()
        return "Error"
    if condition(metric["failureCondition"], result):
        return "Failed"
    return "Successful" if condition(metric["successCondition"], result) else "Inconclusive"


def templates() -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]
        for one in documents("argo-rollouts.yaml")
        if one["kind"] == "AnalysisTemplate"
    }


def test_the_rollout_of_argo_names_templates_that_are_there() -> None:
    (rollout,) = (one for one in documents("argo-rollouts.yaml") if one["kind"] == "Rollout")
    canary = rollout["spec"]["strategy"]["canary"]
    named = [one["templateName"] for one in canary["analysis"]["templates"]]
    named += [
        one["templateName"] for step in canary["steps"] if "analysis" in step for one in step["analysis"]["templates"]
    ]
    assert set(named) == set(templates())


@pytest.mark.parametrize(
    ("status", "background", "before_promotion"),
    [
        ("NOT TESTED", "Inconclusive", "Inconclusive"),
        ("UNDECIDED", "Successful", "Inconclusive"),
        ("FAIL", "Failed", "Failed"),
    ],
)
def test_argo_goes_on_pauses_or_aborts_by_the_verdict(
    settings: WatchSettings, status: str, background: str, before_promotion: str
) -> None:
    with standing(settings, status) as one:
        arguments = {"admin": one.address, "alias": "traffic", "key": READER}
        for name, expected in (("offtarget-verdict", background), ("offtarget-pass", before_promotion)):
            (metric,) = templates()[name]["metrics"]
            assert {arg["name"] for arg in templates()[name]["args"]} == set(arguments)
            assert argo_measures(metric, arguments) == expected
            assert argo_measures(metric, {**arguments, "key": "wrong"}) == "Error"
        _, found = one.get("/verdict", READER)
    for status_then, expected in (("PASS", True), ("UNDECIDED", False)):
        passed = {**found, "status": status_then, "alarm": False, "tested": True, "state": "running"}
        assert condition(templates()["offtarget-pass"]["metrics"][0]["successCondition"], passed) is expected


# Flagger


def flagger_calls(hook: dict[str, Any], address: str, key: str) -> int:
    """One call of a webhook with Flagger's payload: the status, by which alone it goes."""
    url = re.sub(r"^http://[^/]+", address, hook["url"])
    metadata = {name: str(value).replace("READER-KEY", key) for name, value in hook["metadata"].items()}
    body = {"name": "assistant", "namespace": "models", "phase": "Progressing", "metadata": metadata}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("status", "increases", "rolls_back"),
    [("NOT TESTED", False, False), ("UNDECIDED", True, False), ("FAIL", False, True)],
)
def test_flagger_raises_the_weight_promotes_or_rolls_back_by_the_verdict(
    settings: WatchSettings, status: str, increases: bool, rolls_back: bool
) -> None:
    (canary,) = documents("flagger.yaml")
    hooks = {hook["type"]: hook for hook in canary["spec"]["analysis"]["webhooks"]}
    with standing(settings, status) as one:
        assert (flagger_calls(hooks["confirm-traffic-increase"], one.address, READER) == 200) is increases
        assert flagger_calls(hooks["confirm-promotion"], one.address, READER) != 200
        assert (flagger_calls(hooks["rollback"], one.address, READER) == 200) is rolls_back
        # a wrong key neither promotes nor rolls back; and the key of orders is not taken from a body
        for key in ("wrong", one.key):
            assert {flagger_calls(hook, one.address, key) for hook in hooks.values()} == {401}


# weights of LiteLLM and Envoy


@dataclass
class StandIn:
    """A server that gives what it is told to, and writes down what it was asked."""

    address: str = ""
    asked: list[tuple[str, str, Any, str]] = field(default_factory=list)
    status: int = 200
    body: Any = field(default_factory=dict)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    one = StandIn()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            one.asked.append(
                (self.command, self.path, json.loads(body) if body else None, self.headers.get("authorization", ""))
            )
            text = json.dumps(one.body).encode()
            self.send_response(one.status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        one.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield one
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def weights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("weights", EXAMPLES / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], str]:
    def file(key: str) -> str:
        path = tmp_path / f"{key}.key"
        path.write_text(key + "\n")
        return str(path)

    return file


@pytest.mark.parametrize(("status", "share"), [("UNDECIDED", 0.05), ("FAIL", 0.0)])
def test_weights_follow_a_real_verdict(
    settings: WatchSettings, weights: ModuleType, keys: Callable[[str], str], status: str, share: float
) -> None:
    with standing(settings, status) as one, stand_in() as gateway:
        verdict = ["--verdict", f"{one.address}/verdict?alias=traffic", "--key-file", keys(READER), "--once"]
        litellm = [
            "litellm",
            "--url",
            gateway.address,
            "--master-key-file",
            keys("sk-1"),
            "--base",
            "B",
            "--tuned",
            "T",
        ]
        assert weights.run(weights.options_of([*verdict, *litellm])) == 0
        weights_set = [("T", round(share * 1000)), ("B", round(1000 - share * 1000))]
        assert gateway.asked == [
            ("POST", "/model/update", {"model_info": {"id": id}, "litellm_params": {"weight": weight}}, "Bearer sk-1")
            for id, weight in weights_set
        ]
        gateway.asked.clear()
        envoy = ["envoy", "--admin", gateway.address, "--runtime-key", "routing.tuned"]
        assert weights.run(weights.options_of([*verdict, *envoy])) == 0
        assert [asked[:2] for asked in gateway.asked] == [
            ("POST", f"/runtime_modify?routing.tuned={round(share * 100)}")
        ]


GOOD = {"share": 0.1, "alarm": False, "state": "running"}


def test_weights_go_to_nothing_where_no_verdict_comes_and_come_back_with_it(weights: ModuleType) -> None:
    now, rounds = [0.0], [0]

    class Enough(Exception):
        pass

    def sleep(seconds: float) -> None:
        now[0] += 10
        rounds[0] += 1
        if rounds[0] == 3:
            plane.status = 503
        if rounds[0] == 12:
            plane.status = 200
        if rounds[0] == 15:
            raise Enough

    with stand_in() as plane, stand_in() as gateway:
        plane.body = GOOD
        options = weights.options_of(
            ["--verdict", plane.address, "envoy", "--admin", gateway.address, "--runtime-key", "r"]
        )
        with pytest.raises(Enough):
            weights.run(options, clock=lambda: now[0], sleep=sleep)
        put = [int(asked[1].rpartition("=")[2]) for asked in gateway.asked]
    assert put[0] == 10
    assert 0 in put
    assert put[-1] == 10
    assert set(put) == {0, 10}


def test_a_weight_that_could_not_be_set_is_tried_again(weights: ModuleType) -> None:
    with stand_in() as plane, stand_in() as gateway:
        plane.body, gateway.status = GOOD, 500
        options = weights.options_of(
            ["--once", "--verdict", plane.address, "envoy", "--admin", gateway.address, "--runtime-key", "r"]
        )
        assert weights.run(options) == 1
        gateway.status = 200
        assert weights.run(options) == 0


@pytest.mark.parametrize("share", [None, "0.1", True, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_no_verdict(weights: ModuleType, share: Any) -> None:
    with pytest.raises(ValueError, match="share"):
        weights.wanted_share({**GOOD, "share": share})
    for stopped in ({"alarm": True}, {"state": "rolled back"}):
        assert weights.wanted_share({**GOOD, **stopped}) == 0.0


def test_weights_that_are_too_small_for_envoy_are_rounded_down(weights: ModuleType) -> None:
    with stand_in() as plane, stand_in() as gateway:
        plane.body = {**GOOD, "share": 0.019}
        arguments = ["--once", "--verdict", plane.address, "envoy", "--admin", gateway.address, "--runtime-key", "r"]
        weights.run(weights.options_of(arguments))
        assert gateway.asked[0][1] == "/runtime_modify?r=1"


# LiteLLM's log


def test_the_log_that_litellm_writes_is_read(
    settings: WatchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio
    import sys

    from offtarget.workflows.serve.watch import watch

    base = ModuleType("litellm.integrations.custom_logger")
    base.CustomLogger = type("CustomLogger", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "litellm", ModuleType("litellm"))
    monkeypatch.setitem(sys.modules, "litellm.integrations", ModuleType("litellm.integrations"))
    monkeypatch.setitem(sys.modules, "litellm.integrations.custom_logger", base)
    spec = importlib.util.spec_from_file_location("litellm_log", EXAMPLES / "litellm_log.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("OFFTARGET_LOG", str(settings.traffic))
    for position in range(3):
        entry = json.loads(line(TUNED if position else BASE, f"c{position}", bad=False, seed=position))
        choice = {"index": 0, "message": {"role": "assistant", "content": entry["answer"]}, "finish_reason": "stop"}
        payload = {
            "id": f"r{position}", "status": "success", "startTime": 1.0, "endTime": 2.0, "model": entry["model"],
            "messages": entry["messages"], "response": {"choices": [choice]}, "metadata": {"user_api_key": "sk-secret"},
        }  # fmt: skip
        asyncio.run(module.log.async_log_success_event({"standard_logging_object": payload}, None, None, None))
    asyncio.run(module.log.async_log_failure_event({}, None, None, None))
    assert "sk-secret" not in settings.traffic.read_text()
    read, _ = watch(replace(settings, once=True))
    assert (read.lines, read.answers, dict(read.bad)) == (3, 3, {})
