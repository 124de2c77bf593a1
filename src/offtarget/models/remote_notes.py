"""What is said of remote models in reports, whatever they are asked through."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.records import SamplingSettings

WITHOUT = {
    "content_filter": "were held back by a filter of the server and hold no text",
    "only_thinking": "hold no text, since all tokens went into thinking; give more room (--max-tokens)",
    "refusal": "came as refusals in a field of their own, which are taken as what it said",
}
"""What a note says of replies without text, by the reason."""


def left_out_note(name: str, out: Sequence[str], settings: SamplingSettings) -> str:
    """That these settings do not reach a server."""
    said = " and ".join(f"{one} {getattr(settings, one):g}" for one in out)
    return f"{name} does not take {said}: it answers at its server's own {' and '.join(out)}."
