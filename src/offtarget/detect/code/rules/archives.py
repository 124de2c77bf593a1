"""Archives unpacked without a check of where their members go (CWE-22)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Call, Facts, Hole, hole

CHECKED = re.compile(
    r"realpath|abspath|commonpath|commonprefix|is_relative_to|safe_extract|resolve\(\)|"
    r"['\"]\.\.(?:/)?['\"]\s+(?:not )?in\b|"
    r"\b(?=\w*?(?:name|path|member|dest|target|info))\w++\.startswith\("
)
UPWARDS = re.compile(r"^/?$|(?:^|/)\.\.(?:/|$)")
ARCHIVE = re.compile(r"tar|zip|archive|rarfile|py7zr|patool", re.I)


def extracted(facts: Facts) -> Iterator[Hole]:
    """extractall, extract and unpack_archive without filter or check of member names."""
    for call in facts.calls:
        if call.name in {"shutil.unpack_archive", "patoolib.extract_archive"}:
            if "filter" not in call.keywords:
                yield hole("archive", call.node, 0.75, "An archive is unpacked without a check of its members (CWE-22)")
        elif call.tail in {"extractall", "extract"} and _is_archive(call, facts):
            upwards = [
                v.const
                for v in [*call.args, *call.keywords.values()]
                if isinstance(v.const, str) and UPWARDS.search(v.const)
            ]
            if upwards and upwards[0]:
                yield hole("archive", call.node, 0.97, f"An archive is unpacked into {upwards[0]!r} (CWE-22)")
            elif not _filtered(call) and not CHECKED.search(facts.text):
                strength = 0.9 if call.tail == "extractall" else 0.75
                yield hole(
                    "archive", call.node, strength, f"{call.tail}() without a check of the members' paths (CWE-22)"
                )


def written_by_name(facts: Facts) -> Iterator[Hole]:
    """Members written to disk under the name they have in the archive."""
    if not re.search(r"namelist|infolist|getmembers|getnames|\.filename", facts.text) or CHECKED.search(facts.text):
        return
    for call in facts.called("open", "os.path.join"):
        if "zipfile" in facts.modules or "tarfile" in facts.modules:
            last = call.args[-1] if call.args else None
            if (
                call.tail == "join"
                and last is not None
                and last.unknown
                and ("member" in last.origin or "name" in last.origin)
            ):
                yield hole("archive-name", call.node, 0.6, "A path is made from a name inside an archive (CWE-22)")


def _is_archive(call: Call, facts: Facts) -> bool:
    owner = call.name.rpartition(".")[0]
    return (
        bool(ARCHIVE.search(owner))
        or bool(facts.modules & {"tarfile", "zipfile", "rarfile", "py7zr"})
        or "ZipFile" in owner
    )


def _filtered(call: Call) -> bool:
    given = call.keywords.get("filter")
    return (given is not None and given.const in ("data", "tar")) or (given is not None and not given.is_const)


RULES = (extracted, written_by_name)
