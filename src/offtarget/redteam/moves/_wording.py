"""Moves that are nothing but wordings: one is chosen and laid around the request."""

from __future__ import annotations

import random

from offtarget.redteam.move import Draft, Make


def worded(*wordings: Draft) -> Make:
    """One of these drafts around the given one; `{request}` in their turns stands for its request.

    With the same random numbers the same place in the list is chosen, so that a move and its control, which have as
    many wordings, come to the two that belong together.
    """

    def make(draft: Draft, rng: random.Random) -> Draft:
        chosen = rng.choice(wordings)

        def filled(turn: str) -> str:
            return turn.replace("{request}", draft.request)

        return Draft(
            request=filled(chosen.request),
            before=(*map(filled, chosen.before), *draft.before),
            after=(*draft.after, *map(filled, chosen.after)),
            system=draft.system if chosen.system is None else chosen.system,
        )

    return make


def asked_as(*wordings: str) -> Make:
    """The request in one of these wordings, which say with `{request}` where it belongs; no other turn."""
    return worded(*map(Draft, wordings))
