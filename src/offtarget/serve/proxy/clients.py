"""Who may ask, and how often: API keys by their hash."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from offtarget.records.gateway import ApiKey
from offtarget.serve.proxy.errors import Refusal
from offtarget.serve.proxy.rates import Rates


class Clients:
    """The clients of a gateway, in one worker."""

    def __init__(self, keys: Sequence[ApiKey], rates: Rates) -> None:
        """No keys: everybody may ask, as often as they like."""
        self._rates = rates
        self._keys = {bytes.fromhex(key.sha256): key for key in keys}

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
        wait = self._rates.take(key.name, key.requests_per_minute, now) if key.requests_per_minute > 0 else 0.0
        if wait > 0:
            raise Refusal(
                429, "rate_limit_exceeded", f"More than {key.requests_per_minute} requests a minute with this API key.",
                kind="requests", headers=((b"retry-after", b"%d" % (int(wait) + 1)),),
            )  # fmt: skip
        return key.name
