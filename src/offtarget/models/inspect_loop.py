"""One event loop, in a thread of its own, for all models that are asked through Inspect.

Inspect's clients belong to the loop that first used them; the rest of offtarget knows threads only.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from offtarget.threads import GivenUp, given_up

T = TypeVar("T")
_LOOK = 0.2
"""Seconds between two looks at whether a call is still wanted."""
_starting = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def in_loop(call: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, run in the loop. It is cancelled on Ctrl-C, and where nobody waits for it: GivenUp."""
    future = asyncio.run_coroutine_threadsafe(call, _running())
    try:
        while not concurrent.futures.wait([future], timeout=_LOOK).done:
            if given_up():
                raise GivenUp
    except BaseException:
        future.cancel()
        raise
    return future.result()


def later(call: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine in the loop and wait for nothing; where the loop has ended it is not run."""
    if _loop is None or _loop.is_closed():
        call.close()
        return
    asyncio.run_coroutine_threadsafe(call, _loop)


def _running() -> asyncio.AbstractEventLoop:
    global _loop
    with _starting:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, daemon=True, name="offtarget-inspect").start()
        return _loop
