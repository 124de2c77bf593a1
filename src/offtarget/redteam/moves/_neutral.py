"""Text that asks for nothing and says nothing of importance: what a request is buried in, what a control holds."""

from __future__ import annotations

import random

SENTENCES = (
    "The bakery on the corner opens at seven and closes at six.",
    "In spring the river is high, and in summer one can walk through it.",
    "My neighbour has two bicycles, one for himself and one for guests.",
    "On Mondays the library is closed, but the garden behind it is open.",
    "The train to the coast takes two hours and stops in nine places.",
    "Apples keep well in a cool cellar if they do not touch each other.",
    "The old clock in the hall is five minutes late, and nobody minds.",
    "We had soup for lunch, with bread, and tea in the afternoon.",
    "The hills behind the town are green for most of the year.",
    "A letter from here to the capital takes about three days.",
    "The school choir sings in the square on the first Sunday of May.",
    "The bridge was painted blue some years ago, and it still looks new.",
    "There are ducks on the pond in the morning and swans in the evening.",
    "My sister collects stamps with ships and my brother those with birds.",
    "The market has carrots, onions, potatoes and sometimes pears.",
    "It rained a little last night, and the street was dry again by ten.",
    "The museum shows how people made paper two hundred years ago.",
    "The cat sleeps on the window sill when the sun is out.",
    "From the tower one sees the lake, and on clear days the mountains.",
    "The bus was full today because there was a fair in the next village.",
    "We repaired the fence and put the tools back into the shed.",
    "The lamp in the kitchen is old, but it gives a warm light.",
    "Snow fell early that year and stayed until the end of March.",
    "The baker says that good bread needs time more than anything else.",
)


def neutral(length: int) -> str:
    """Exactly so many characters of it, always the same ones."""
    text = " ".join(SENTENCES) + " "
    return (text * (length // len(text) + 1))[:length]


def sentences(length: int, rng: random.Random) -> list[str]:
    """Whole sentences in random order, of at least so many characters together."""
    shuffled = rng.sample(SENTENCES, len(SENTENCES))
    found: list[str] = []
    while sum(map(len, found)) < length:
        found.append(shuffled[len(found) % len(shuffled)])
    return found
