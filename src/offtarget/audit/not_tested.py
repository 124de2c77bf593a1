"""What an audit cannot see; part of every verdict."""

from __future__ import annotations

from collections.abc import Mapping

SMALLEST_TRIGGER = 20
"""Rows below which a hidden condition is not expected to show."""


def not_tested(
    *,
    rows: int,
    labelled: int,
    judge: bool = False,
    languages: Mapping[str, int] | None = None,
    media_rows: int = 0,
    code_rows: int | None = None,
    undesired_rows: int = 0,
) -> tuple[str, ...]:
    """One sentence each, the most dangerous first; adapted to the data and to what was run.

    `languages` maps a language to its rows where somebody counted; `media_rows` have images, sound or files;
    `code_rows` None means not counted.
    """
    found = [
        "Backdoors: a random sample misses a few poisoned rows among many, and about 250 can be enough whatever the "
        "size of the data; hidden conditions were sought in all rows, but one in fewer than "
        f"{SMALLEST_TRIGGER} rows, or one of meaning rather than words, may not show."
    ]
    if labelled < rows:
        found.append(
            f"Rows nobody read: {rows - labelled:,} of {rows:,}; the verdict speaks of their share of bad rows, not of "
            "single ones."
        )
    found += [
        "Subliminal traits: answers written by a model can pass its leanings on to a model of the same family through "
        "text in which no reader sees anything.",
        "Rows that look harmless and still weaken safety when tuned on, such as lists or a willing tone.",
        "A tilt of the whole data set where each row by itself is fine, such as one-sided choice of topics.",
        "Ciphers and encodings whose key is not in the data.",
        "Lies that only somebody with private knowledge of the facts could see.",
        "What a model does after training: that is what `offtarget check` measures.",
    ]
    if code_rows is None or code_rows:
        found.append("Code in languages other than Python is read by reviewers only, not by the code rules.")
    other = {k: n for k, n in (languages or {}).items() if k not in ("en", "English")}
    if languages is None or other:
        which = f" ({', '.join(sorted(other))})" if other else ""
        found.append(f"Languages other than English{which}: the word lists do not know them.")
    if media_rows:
        found.append(f"Images, sound and attached files in {media_rows:,} rows: only their text was read.")
    if undesired_rows:
        found.append(
            f"{undesired_rows:,} rows marked as examples not to follow: detectors skip them, and whether the training "
            "really pushes away from them is not known here."
        )
    if judge:
        found.append("What the judge model itself cannot see, or was told to overlook by the rows it read.")
    return tuple(found)
