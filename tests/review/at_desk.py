"""One browser at the pages of answers, without a browser: plain forms."""

from __future__ import annotations

import re
from typing import Any

import pytest

from offtarget.review.answers.desk import AnswerDesk

TestClient = pytest.importorskip("starlette.testclient", reason="needs the extra 'review'").TestClient
app_module = pytest.importorskip("offtarget.review.answers.app")
security = pytest.importorskip("offtarget.review.security")

FIELDS = re.compile(r'name="(key|nonce|shown)" value="([^"]*)"')


class AtDesk:
    """Somebody who opened the address and gave a name."""

    def __init__(self, desk: AnswerDesk, name: str = "Ada") -> None:
        self.access = security.Access("secret-token")
        app = app_module.make_app(desk, self.access, security.allowed_hosts("127.0.0.1"))
        self.client = TestClient(app, base_url="http://127.0.0.1:8000")
        self.client.get("/?token=secret-token")
        self.post("/name", name=name)

    def post(self, path: str, **fields: str) -> Any:
        """Send a form of ours."""
        return self.client.post(path, data={"form_token": self.access.form_token, **fields})

    def next(self) -> Any:
        """The page that comes next."""
        return self.client.get("/next")

    def say(self, choice: str, page: Any) -> Any:
        """Label the card on that page."""
        return self.post("/label", choice=choice, **dict(FIELDS.findall(page.text)))


def hidden(page: Any, name: str) -> str:
    """A hidden field of the card on that page."""
    found = dict(FIELDS.findall(page.text))
    assert name in found, name
    return found[name]
