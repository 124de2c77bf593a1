"""Exchanges as a worker makes them, for tests."""

from __future__ import annotations

import json
from typing import Any

from offtarget.records.exchanges import Exchange

USUAL: dict[str, Any] = {
    "alias": "assistant", "rollout": 1, "arm": "tuned", "reason": "share", "source": "organic", "api": "chat",
    "started": 1_700_000_000.0, "first_seconds": 0.1, "total_seconds": 0.4, "status": 200, "streamed": False,
}  # fmt: skip


def exchange(number: int = 0, asked: str = "What now?", said: str = "All is well.", **more: Any) -> Exchange:
    """One chat exchange; anything can be set."""
    request = {"model": "assistant", "messages": [{"role": "user", "content": asked}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    values = {
        "id": f"req-{number}",
        "conversation": f"{number:016x}",
        "request": json.dumps(request).encode(),
        "response": json.dumps({"object": "chat.completion", "choices": [choice]}).encode(),
    }
    return Exchange(**(USUAL | values | more))
