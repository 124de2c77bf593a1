"""Rollouts, scored answers and exchanges for tests of stores."""

from __future__ import annotations

import random
import string
import time
from typing import Any

from offtarget.records.answers import Outcome
from offtarget.records.exchanges import Exchange
from offtarget.records.rollouts import Rollout, ScoredAnswer


def a_rollout(number: int = 1, alias: str = "assistant", **changes: Any) -> Rollout:
    values: dict[str, Any] = {"status": "running", "share": 0.05, "since": 1000.0, **changes}
    return Rollout(alias, number, **values)


def a_score(conversation: str, alias: str = "assistant", rollout: int = 1, **changes: Any) -> ScoredAnswer:
    values: dict[str, Any] = {
        "number": 0, "at": time.time(), "source": "organic", "arm": "tuned", "exchange": f"x-{conversation}",
        "outcome": Outcome.ALIGNED, "judge": "j1", "alignment": 93.5, "flags": {"refusal": False},
        "first_seconds": 0.125, "total_seconds": 1.5, "characters": 250, **changes,
    }  # fmt: skip
    return ScoredAnswer(alias=alias, rollout=rollout, conversation=conversation, **values)


def an_exchange(id: str = "x-1", **changes: Any) -> Exchange:
    values: dict[str, Any] = {
        "alias": "assistant", "rollout": 1, "arm": "tuned", "reason": "share", "source": "organic",
        "conversation": "c1", "api": "chat", "started": 1000.0, "first_seconds": 0.1, "total_seconds": 0.2,
        "status": 200, "streamed": False, "request": b'{"messages": []}', "response": b'{"choices": []}', **changes,
    }  # fmt: skip
    return Exchange(id, **values)


def a_database_name() -> str:
    return "s" + "".join(random.SystemRandom().choices(string.ascii_lowercase, k=12))
