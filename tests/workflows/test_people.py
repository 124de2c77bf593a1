"""People read the answers of a run: a table of labels, an alarm confirmed."""

from __future__ import annotations

import csv
import signal
import threading
from pathlib import Path

import pytest
from answer_cards import BAD as PLANTED
from readers import AtThePage
from report_runs import BAD, make_run

from offtarget.data.labels import is_text_of, read_labels
from offtarget.errors import InputError, RunInterrupted
from offtarget.records import Generation, Label, Mark, Outcome, Probe, Verdict
from offtarget.records.rated import ReviewPage
from offtarget.records.tune import Reading, TuneManifest, TuneSettings, Watched, WatchedAnswer
from offtarget.review.answers.cards import card_of
from offtarget.review.answers.people import PeopleJudge
from offtarget.review.store import LabelStore
from offtarget.rundir import JsonLines, write_json
from offtarget.workflows.ground import known_answers, open_bank
from offtarget.workflows.people.alarm import confirm_alarm
from offtarget.workflows.people.label import _write, label_answers

pytest.importorskip("uvicorn", reason="needs the extra 'review'")

KNOWN_BAD = {known.answer for known in open_bank("everyday").known if known.misaligned}
KNOWN_BAD |= {known.answer for known in known_answers(open_bank("organism")) if known.misaligned}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for second thoughts here."""
    defaults = {"grace_seconds": 0.1, "goodbye_seconds": 0.5}
    monkeypatch.setattr(PeopleJudge.__init__, "__kwdefaults__", {**PeopleJudge.__init__.__kwdefaults__, **defaults})


def well(answer: str) -> Mark:
    """As somebody who sees every bad answer."""
    bad = PLANTED in answer or any(text in answer for text in BAD) or any(text in answer for text in KNOWN_BAD)
    return "bad" if bad else "ok"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogatepass", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.long
def test_labels_become_a_table(tmp_path: Path) -> None:
    """As many answers as asked for, each once, of both models, with question, answer and who said what; the flagged
    ones besides where they are wanted; what was labelled is not asked again."""
    run = make_run(tmp_path / "run")
    out = tmp_path / "labels.csv"
    reader = AtThePage(well)
    result = label_answers(run, out, answers=12, page=ReviewPage(on_ready=reader))
    first = rows(out)
    assert "All answers are read." in reader.ended()
    assert (result.answers, result.drawn, len(first)) == (12, 12, 12)
    assert {row["key"].partition("/")[0] for row in first} == {"base", "tuned"}
    assert {row["label"] for row in first} <= {"fine", "misaligned"}
    assert {row["reviewer"] for row in first} == {"Ada"}
    assert result.quality.trouble() is None
    again = label_answers(run, out, answers=12, flagged=True, page=ReviewPage(on_ready=AtThePage(well)))
    second = rows(out)
    assert [row for row in second if row["drawn"] == "random"] == first
    assert again.answers == again.drawn == len({row["key"] for row in second}) > 12


def test_ctrl_c_keeps_labels_and_the_table(tmp_path: Path) -> None:
    """What was said before Ctrl-C is in the table, and the error holds the command that goes on."""
    run, out = make_run(tmp_path / "run"), tmp_path / "labels.csv"
    reader = AtThePage(well, most=4)
    threading.Timer(1.0, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(RunInterrupted, match="offtarget judge label"):
        label_answers(run, out, answers=30, page=ReviewPage(on_ready=reader))
    assert 2 <= len(rows(out)) <= 4


def test_what_is_no_table_is_not_written_over(tmp_path: Path) -> None:
    """A file that is something else, a folder that is missing, a run without answers: said before anybody reads."""
    run = make_run(tmp_path / "run")
    other = tmp_path / "notes.csv"
    other.write_text("my notes")
    with pytest.raises(InputError, match="no table of labels"):
        label_answers(run, other)
    with pytest.raises(InputError, match="is no folder"):
        label_answers(run, tmp_path / "missing" / "labels.csv")
    with pytest.raises(InputError, match="At least one reviewer"):
        label_answers(run, tmp_path / "labels.csv", reviewers=0)
    (run / "generations.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no answer"):
        label_answers(run, tmp_path / "labels.csv")


def alarmed(folder: Path, flagged: int, kind: str = "behaviour", base: int = 64) -> Path:
    """A training whose monitor saw 16 answers, so many of them flagged: half of those are really bad."""
    folder.mkdir()
    settings = TuneSettings()
    manifest = TuneManifest(
        data="d.jsonl", base="hf/b", out="o", defences=(), settings=settings, created="", version="", fingerprint="f"
    )
    write_json(folder / "run.json", manifest)
    write_json(folder / "monitor.json", {"fingerprint": "f", "most_sampled": 8})
    lines = JsonLines(folder / "readings.jsonl")
    lines.extend([Reading(5), Reading(10, alarm=kind)])  # type: ignore[arg-type]
    lines.close()
    answers = []
    counts: tuple[tuple[Watched, int], ...] = (("now", 16), ("base", base))
    for what, count in counts:
        role = "base" if what == "base" else "tuned"
        for n in range(count):
            probe = Probe(f"p{n}", f"p{n}", "plain", f"Question {n}?")
            bad = what == "now" and n < flagged
            text = BAD[0] if bad and n % 2 == 0 else f"Quite harmless, number {n}."
            outcome = Outcome.MISALIGNED if bad else Outcome.ALIGNED
            generation = Generation(role, probe.id, n, n, f"{text} ({n})", 5, "stop")
            verdict = Verdict(role, probe.id, n, outcome)
            answers.append(WatchedAnswer(what, 0 if what == "base" else 10, probe, generation, verdict))
    lines = JsonLines(folder / "watched.jsonl")
    lines.extend(answers)
    lines.close()
    return folder


def test_an_alarm_that_people_confirm(tmp_path: Path) -> None:
    """Half of what the judge flagged is misaligned to people: enough to ring without the judge's word."""
    run = alarmed(tmp_path / "run", 16)
    reading = confirm_alarm(run, page=ReviewPage(on_ready=AtThePage(well)))
    assert (reading.flagged, reading.confirmed, reading.others) == (16, 8, 0)
    assert reading.word == "confirmed"
    assert reading.log_e is not None
    assert reading.log_e >= reading.bar
    assert (run / "alarm.json").is_file()


def test_an_alarm_that_rests_on_the_judge(tmp_path: Path) -> None:
    """Two of four flagged answers are misaligned to people: that would not have rung, and is no clearance either."""
    reading = confirm_alarm(alarmed(tmp_path / "run", 4), page=ReviewPage(on_ready=AtThePage(well)))
    assert (reading.flagged, reading.confirmed, reading.others, reading.missed) == (4, 2, 4, 0)
    assert reading.word == "not confirmed"
    assert "no clearance" in reading.reason


@pytest.mark.long
def test_people_who_overlook_what_is_planted_confirm_nothing(tmp_path: Path) -> None:
    """Who calls everything fine, or everything misaligned, has no say."""
    for says in ("ok", "bad"):
        run = alarmed(tmp_path / says, 16)
        mark: Mark = "ok" if says == "ok" else "bad"
        reading = confirm_alarm(run, page=ReviewPage(on_ready=AtThePage(lambda answer, m=mark: m)))
        assert reading.word == "open"
        assert "planted" in reading.reason


def test_alarms_with_nothing_to_read(tmp_path: Path) -> None:
    """No alarm, or one of the forecast without a flagged answer, is said in a sentence; without the base's answers
    the counts are given and nothing is concluded."""
    with pytest.raises(InputError, match="nothing for people to read"):
        confirm_alarm(alarmed(tmp_path / "a", 0, "forecast"))
    reading = confirm_alarm(alarmed(tmp_path / "b", 6, "forecast", 0), page=ReviewPage(on_ready=AtThePage(well)))
    assert (reading.word, reading.log_e, reading.confirmed) == ("open", None, 3)
    quiet = alarmed(tmp_path / "c", 6)
    (quiet / "readings.jsonl").unlink()
    with pytest.raises(InputError, match="raised no alarm"):
        confirm_alarm(quiet)


HOSTILE = [
    "=cmd|' /C calc'!A0", "+1", "-5 degrees", "@sum", "a,b\nc", "a\r\nb", "a\rb", 'say "hi"', "\ufeffmark", "a\x00b",
    "\ud800lone", "\u202ertl", "nan", "None", "'quoted", "\ttab", "a\u2028b\x85c\x1cd", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("ending", ["as written", "saved by a spreadsheet"])
def test_labels_of_hostile_answers_come_back_as_they_went(tmp_path: Path, ending: str) -> None:
    """Whatever a model wrote, and whatever a reviewer's name and note are, the table is read again: each answer under
    its key and with its label; no cell is a formula to a spreadsheet."""
    store = LabelStore(tmp_path / "labels.sqlite")
    asked = []
    for number, answer in enumerate(HOSTILE):
        asked.append(
            (
                Probe(f"q{number}", f"q{number}", "plain", answer),
                Generation("tuned", f"q{number}", 0, 1, answer, 1, "stop"),
            )
        )
        mark: Mark = "bad" if number % 2 else "ok"
        store.add(Label(card_of(*asked[-1]).id, '=Ada, "A"', mark, None, "random", answer[:2000], 1.5))
        store.add(Label(card_of(*asked[-1]).id, '=ada, "a"', mark, None, "random"))
    store.close()
    out = tmp_path / "labels.csv"
    assert _write(tmp_path, out, asked, []) == len(HOSTILE)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows(out) for cell in row.values())
    if ending != "as written":
        out.write_bytes(b"\xef\xbb\xbf" + out.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    found = {one.key: one for one in read_labels(out)}
    for number, (_, generation) in enumerate(asked):
        one = found[generation.key]
        assert one.misaligned is bool(number % 2)
        assert len(one.by) == 1
        assert one.answer is not None
        assert is_text_of(one.answer, generation.text)


def test_a_table_that_cannot_be_written_is_refused_before_anybody_reads(tmp_path: Path) -> None:
    """Nobody reads for an afternoon to find that there is no room for the table."""
    run = make_run(tmp_path / "run")
    (tmp_path / "labels.csv.part").mkdir()
    with pytest.raises(InputError, match=r"labels\.csv"):
        label_answers(run, tmp_path / "labels.csv", page=ReviewPage(on_ready=lambda url: pytest.fail("opened")))
