"""A person at the page of answers without a browser: reads cards over HTTP and says of each what `says` makes of it."""

from __future__ import annotations

import html
import re
import threading
import time
from collections.abc import Callable
from http.cookiejar import CookieJar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

Says = Callable[[str, str], str]
"""What to say of a question and an answer to it, as the card shows them: `ok`, `bad` or `unsure`."""
_FIELD = re.compile(r'name="(form_token|key|nonce|shown)" value="([^"]*)"')
_SECTION = re.compile(r'<section class="turn[^"]*">\s*<h2>(Question|Answer)</h2>(.*?)</section>', re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


class HttpReader(threading.Thread):
    """Reads until the page says goodbye or closes."""

    def __init__(self, address: str, says: Says, name: str = "Ada") -> None:
        super().__init__(daemon=True)
        self.address, self._says, self._name = address, says, name
        self._root = address.split("/?")[0]
        self._open = build_opener(HTTPCookieProcessor(CookieJar()))
        self.read: list[str] = []
        """Texts of the cards that were read, planted ones included."""
        self.decided = ""
        """The last page, once there is one."""
        self.stopped = ""
        """The page that asks to stop, once it does."""

    def run(self) -> None:
        """Sign in, read, wait, read."""
        try:
            fields = dict(_FIELD.findall(self._get(self.address)[1]))
            self._post("/name", name=self._name, form_token=fields["form_token"])
            while not self.decided:
                self._step()
        except (URLError, ConnectionError, TimeoutError):
            return  # the page has closed

    def _step(self) -> None:
        where, page = self._get(f"{self._root}/next")
        if where.endswith("/decided"):
            self.decided = page
        elif where.endswith("/stopped"):
            self.stopped = page
            time.sleep(0.02)
        elif "/card/" in where:
            texts = {what: html.unescape(_TAG.sub("", text)).strip() for what, text in _SECTION.findall(page)}
            self.read.append(texts["Answer"])
            choice = self._says(texts["Question"], texts["Answer"])
            self._post("/label", **dict(_FIELD.findall(page)), choice=choice, seconds="3")
        else:
            time.sleep(0.02)

    def _get(self, address: str) -> tuple[str, str]:
        with self._open.open(address, timeout=30) as reply:
            return reply.geturl(), reply.read().decode()

    def _post(self, path: str, **fields: str) -> None:
        with self._open.open(f"{self._root}{path}", urlencode(fields).encode(), timeout=30) as reply:
            reply.read()
