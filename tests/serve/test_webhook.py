"""The webhook: told in order, tried again where that may help, and never where an attacker would lead it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from offtarget.errors import InputError
from offtarget.serve.monitor.posting import post
from offtarget.serve.monitor.webhook import TRIES, WAITING, Webhook


class Hook(HTTPServer):
    """Answers with these statuses in turn, the last of them for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.bodies = list(statuses), []  # type: ignore[var-annotated]
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=x"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.path, json.loads(body)))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said: object) -> None: ...


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Hook]:
    hook = Hook(*request.param)
    thread = threading.Thread(target=hook.serve_forever, args=(0.01,))
    thread.start()
    yield hook
    hook.shutdown()
    thread.join()
    hook.server_close()


@pytest.mark.parametrize("served", [(500, 503, 200)], indirect=True)
def test_a_message_is_tried_again_and_the_next_waits_for_it(served: Hook) -> None:
    hook = Webhook(served.url, pause=0.01)
    hook.tell({"event": "alarm"})
    hook.tell({"event": "paused"})
    hook.close(20.0)
    assert [body["event"] for _, body in served.bodies] == ["alarm", "alarm", "alarm", "paused"]
    assert served.bodies[0][0] == "/hook?token=x"
    assert hook.counts == {"sent": 2, "failed": 0, "dropped": 0}


@pytest.mark.parametrize("served", [(400,), (302,)], indirect=True)
def test_what_no_try_would_help_is_not_tried_again_and_no_redirect_is_followed(served: Hook) -> None:
    hook = Webhook(served.url, pause=0.01)
    hook.tell({"event": "alarm"})
    hook.close(20.0)
    assert len(served.bodies) == 1
    assert hook.counts["failed"] == 1


@pytest.mark.parametrize("served", [(500,)], indirect=True)
def test_it_gives_up_after_its_tries(served: Hook) -> None:
    hook = Webhook(served.url, pause=0.001)
    hook.tell({"event": "alarm"})
    hook.close(20.0)
    assert len(served.bodies) == TRIES


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://metadata.google.internal/",
        "ftp://h/",
        "http://0.0.0.0/",
    ],
)
def test_addresses_of_secrets_are_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(InputError):
        post(url, b"{}")
    hook = Webhook(url, pause=0.001)
    hook.tell({"event": "alarm"})
    hook.close(20.0)
    assert hook.counts["failed"] == 1


def test_a_hook_that_hangs_keeps_nobody_waiting_and_what_waits_is_bounded() -> None:
    release = threading.Event()

    def send(url: str, body: bytes) -> int:
        release.wait(30)
        return 200

    hook = Webhook("http://h", send=send)
    for _ in range(3 * WAITING):
        hook.tell({"event": "alarm"})
    assert hook.counts["dropped"] >= 2 * WAITING - 1
    release.set()
    hook.close(10.0)


def test_without_an_address_nothing_is_started() -> None:
    hook = Webhook("")
    hook.tell({"event": "alarm"})
    hook.close()
    assert hook.counts == {"sent": 0, "failed": 0, "dropped": 0}
