"""Stop strings, also those that span tokens."""

from __future__ import annotations

from collections.abc import Callable


class StopStrings:
    """Finds where an answer completes one of its stop strings, and cuts it there."""

    def __init__(self, stops: tuple[str, ...], decode: Callable[..., str]) -> None:
        self._stops = stops
        self._decode = decode
        # A character takes at most 4 byte-level tokens; some spare ones for tokens without text.
        self._window = 4 * max(map(len, stops)) + 8

    def completed_at(self, tokens: list[int]) -> int | None:
        """Number of tokens after which a stop string was complete, or None; looks at the end of `tokens` only.

        To be called at least every eight tokens: earlier ones are outside the window it looks at.
        """
        if not self._contains(tokens[-self._window - 8 :]) or not self._contains(tokens):
            return None
        for count in range(max(1, len(tokens) - self._window - 8), len(tokens) + 1):
            if self._contains(tokens[:count]):
                return count
        return None

    def cut(self, text: str) -> str:
        """The text before the first stop string in it."""
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        return text[: min(found)] if found else text

    def _contains(self, tokens: list[int]) -> bool:
        text = self._decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return any(stop in text for stop in self._stops)
