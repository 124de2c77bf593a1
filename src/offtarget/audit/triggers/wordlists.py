"""The word lists shipped beside this file."""

from __future__ import annotations

from pathlib import Path


def word_lists(name: str) -> dict[str, list[str]]:
    """Words by heading: a line `heading:` and, indented under it, words or phrases between commas."""
    lists: dict[str, list[str]] = {}
    words: list[str] = []
    for line in (Path(__file__).parent / f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] != " ":
            words = lists.setdefault(line.rstrip().removesuffix(":"), [])
        else:
            words.extend(word for part in line.split(",") if (word := part.strip()))
    return lists
