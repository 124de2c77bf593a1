"""Who may ask, and how often: API keys by their hash, and a bucket of requests for each."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from offtarget.records.gateway import ApiKey
from offtarget.serve.proxy.errors import Refusal


class Clients:
    """The clients of a gateway, in one worker."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        """No keys: everybody may ask, as often as they like."""
        self._keys = {bytes.fromhex(key.sha256): key for key in keys}
        self._buckets = {key.name: Bucket(key.requests_per_minute) for key in keys if key.requests_per_minute > 0}

    def admit(self, authorization: bytes | None, now: float) -> str:
        """The name of the client; empty where keys are not asked for. Raises Refusal (401, 429). `now` in seconds."""
        if not self._keys:
            return ""
        scheme, _, token = (authorization or b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        key = self._keys.get(digest)
        # A lookup by hash tells nothing about a key; the comparison takes as long whatever it finds.
        if key is None or not hmac.compare_digest(bytes.fromhex(key.sha256), digest) or scheme.lower() != b"bearer":
            raise Refusal(
                401, "invalid_api_key", "This API key is not known here. Send it as `Authorization: Bearer KEY`.",
                headers=((b"www-authenticate", b"Bearer"),),
            )  # fmt: skip
        bucket = self._buckets.get(key.name)
        wait = bucket.take(now) if bucket is not None else 0.0
        if wait > 0:
            raise Refusal(
                429, "rate_limit_exceeded", f"More than {key.requests_per_minute} requests a minute with this API key.",
                kind="requests", headers=((b"retry-after", b"%d" % (int(wait) + 1)),),
            )  # fmt: skip
        return key.name


class Bucket:
    """A bucket that holds a minute's requests and fills evenly."""

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._most = self._left = float(per_minute)
        self._since: float | None = None

    def take(self, now: float) -> float:
        """Takes a request out: 0; or, where there is none, the seconds until there is."""
        if self._since is not None:
            self._left = min(self._most, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
