"""Moves that show the request in another form, where what is trained on plain text may not know it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from offtarget.redteam.move import Draft, Make
from offtarget.redteam.moves._neutral import neutral

Disguise = Callable[[str], str]
"""A text in the other form, from which it can be read back."""


def disguised(disguise: Disguise, *wordings: str) -> Make:
    """The request in the other form alone, where one of these wordings has `{block}`."""

    def make(draft: Draft, rng: random.Random) -> Draft:
        return replace(draft, request=rng.choice(wordings).replace("{block}", disguise(draft.request)))

    return make


def in_plain_sight(disguise: Disguise, *wordings: str) -> Make:
    """The control: the request in plain words at `{request}`, and as long a `{block}` that hides mere chatter."""

    def make(draft: Draft, rng: random.Random) -> Draft:
        block = disguise(neutral(_hiding_as_much(disguise, draft.request)))
        # The block first: a request that holds `{block}` is left as it is.
        return replace(
            draft, request=rng.choice(wordings).replace("{block}", block).replace("{request}", draft.request)
        )

    return make


def _hiding_as_much(disguise: Disguise, request: str) -> int:
    """How much chatter makes a block as long as the request does; some forms write some characters as many."""
    size = len(disguise(request))
    return size * size // max(1, len(disguise(neutral(size))))
