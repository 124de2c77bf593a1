"""The data path of the gateway: who answers, what passes, what is told; faults are in test_faults.py."""

from __future__ import annotations

from pathlib import Path

from faulty_upstream import FaultyUpstream, response
from gateways import CHAT, gateway, run, said, spoken


def test_a_request_is_answered_by_the_model_of_its_share(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("from base"))]) as base,
            FaultyUpstream([response(said("from tuned"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            answer = await running.ask()
            assert answer.status == 200
            assert answer.json == said("from tuned")
            assert answer.headers["x-offtarget-arm"] == "tuned"
            assert answer.headers["x-offtarget-reason"] == "share"
            running.switch(0.0)
            answer = await running.ask(path="/chat/completions")
            assert answer.json == said("from base")
            assert answer.headers["x-offtarget-reason"] == "rolled-back"
            assert base.requests[0].json == {**CHAT, "model": "base-model"}
            assert base.requests[0].header("authorization") == "Bearer base-key"

    run(test())


def test_a_stream_passes_byte_for_byte(tmp_path: Path) -> None:
    async def test() -> None:
        script = spoken("a", "b", "c")
        async with (
            FaultyUpstream([response(said("x"))]) as base,
            FaultyUpstream(script) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            answer = await running.ask({**CHAT, "stream": True})
            assert answer.whole
            sent = b"".join(piece.split(b"\r\n", 1)[1][:-2] for piece in script[1:-1] if isinstance(piece, bytes))
            assert answer.body == sent
            (exchange,) = running.sink.exchanges
            assert exchange.response == sent
            assert (exchange.arm, exchange.reason, exchange.fault) == ("tuned", "share", "")

    run(test())
