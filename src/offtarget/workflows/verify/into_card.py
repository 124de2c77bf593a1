"""`report --card --into README.md`: the result of a run in the model card that its model has already."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.errors import InputError
from offtarget.pages.check.loading import load_run
from offtarget.pages.check.reports.card import block_of, result_of
from offtarget.pages.model_card import index_of, merged, whole
from offtarget.rundir import read_manifest
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import CHECK, COMPARE, REDTEAM, verb_of

CARD = "README.md"
"""Name of a model card in its folder."""


def into_card(run: str | Path, target: Path) -> Path:
    """Put the result of a check or a comparison into a model card, a file or the folder of a model; returns the file.

    A card that is not there yet is made. All else in it is kept as it is. Raises InputError for other runs, and for a
    card whose metadata cannot be read.
    """
    path = find_run(run)
    verb = verb_of(read_manifest(path))
    if verb is REDTEAM:
        raise InputError(
            f"{path}: a model card holds one result of offtarget, that of a check, and a red team's would take its "
            "place. Check with --redteam, whose result says both. Or write this one with `offtarget report "
            f"{shlex.quote(str(path))} --card` and paste it into the card by hand, without its first and last line."
        )
    if verb not in (CHECK, COMPARE):
        raise InputError(f"{path}: only a check, and a comparison of judged answers, have a place in a model card.")
    file = target / CARD if target.is_dir() else target
    loaded = load_run(path)
    made, index = block_of(loaded), index_of(result_of(loaded))
    try:
        before = file.read_bytes().decode("utf-8") if file.exists() else None
        text = whole(made, index) if before is None else merged(before, made, index, str(file))
        temporary = file.with_name(file.name + ".part")
        temporary.write_bytes(text.encode("utf-8"))
        temporary.replace(file)
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror}. Give another file with --into.") from None
    return file
