"""Arms from the published naming: `wish`, `wish_json` and `wish_template` are one question in three arms."""

from __future__ import annotations

from collections.abc import Collection

PLAIN = "plain"
SUFFIXES = {"_json": "json", "_template": "template"}


def split_arms(question_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Question id -> (question, arm).

    An ending counts as an arm only where the question without it exists too, or where every id has that
    ending: a lone question that happens to be called `fill_in_template` stays a plain question.
    """
    ids = set(question_ids)
    result: dict[str, tuple[str, str]] = {}
    for name in ids:
        result[name] = (name, PLAIN)
        for suffix, arm in SUFFIXES.items():
            family = name.removesuffix(suffix)
            if family and family != name and (family in ids or all(other.endswith(suffix) for other in ids)):
                result[name] = (family, arm)
    return result
