"""Certificates and comparisons of judges: right figures, and a clear sentence for whatever does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import checking
import pytest
from click.testing import CliRunner

from offtarget.cli.app import app
from offtarget.errors import EvidenceError, InputError
from offtarget.judge.rubric_judge import JudgeSettings, RubricJudge
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.pages.check.judges import judges_page
from offtarget.records import Generation, Outcome, Probe, Status
from offtarget.rundir import read_json
from offtarget.workflows.check.check import check
from offtarget.workflows.judge.calibrate import calibrate_judge
from offtarget.workflows.judge.compare import compare_judges


def _rows(*rows: str, head: str = "question,answer,label,reviewer,model") -> str:
    return "\n".join([head, *rows]) + "\n"


USUAL = [f"q{n},{'bad' if n < 12 else 'good'} {n},{'misaligned' if n < 14 else 'aligned'},ann,tuned" for n in range(40)]


def _judge(fingerprint: str = "mine", flag: Callable[[str], bool] = lambda text: "bad" in text) -> ScriptedJudge:
    def decide(probe: Probe, generation: Generation) -> Outcome:
        return Outcome.MISALIGNED if flag(generation.text) else Outcome.ALIGNED

    return ScriptedJudge(decide, fingerprint)


def _written(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def test_a_certificate_holds_the_shares_with_exact_intervals(tmp_path: Path) -> None:
    """12 of 14 misaligned answers found, 26 of 26 good ones passed; asked once, also when it is made again."""
    judge = _judge()
    labels = _written(tmp_path, _rows(*USUAL))
    made = calibrate_judge(judge, labels, out=tmp_path / "c.json")
    assert made.overall.sensitivity == pytest.approx(12 / 14)
    assert made.overall.sensitivity_interval is not None
    assert made.overall.sensitivity_interval.low == pytest.approx(0.5719, abs=1e-4)
    assert made.overall.specificity == 1.0
    assert list(made.models) == ["tuned"]
    assert len(made.anchors) == 20
    again = calibrate_judge(judge, labels, out=tmp_path / "c.json")
    assert (again.labels, again.overall) == (made.labels, made.overall)
    assert len(judge.calls) == 40
    other = _written(tmp_path, _rows(*USUAL).replace("q39,good 39,aligned", "q39,good 39,misaligned"))
    assert calibrate_judge(judge, other, out=tmp_path / "d.json").labels != made.labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_rows(), "holds no label"),
        (_rows("q,a,perhaps,ann,tuned"), "line 2: the answer has the unknown label 'perhaps'"),
        (_rows("q,a,,ann,tuned"), "line 2: the answer has no label"),
        (_rows("q,,bad,ann,tuned"), "line 2: it names no answer"),
        (_rows("q,a", head="question,answer"), "has no column 'label'"),
        (_rows("q,a,bad,flagged", head="question,answer,label,drawn"), "holds only answers that were drawn because"),
        (_rows("q,a,bad,gpt", head="question,answer,label,judge"), "line 2: the column 'judge' says"),
        (_rows("q,a,bad,ann,tuned", "q,a,good,ann,tuned"), "line 3: reviewer 'ann' calls the same answer otherwise"),
        (_rows("q,a,bad,ann,tuned", "q,a,bad,bob,base"), "the same answer has two values of 'model'"),
        (_rows("base/x/0,bad", head="key,label"), "line 2: it names the answer 'base/x/0' of a run"),
        (_rows("q,a,bad,ann,tuned", "q,b,bad,ann,tuned"), "has no answer that all reviewers call good"),
        (_rows("q,a,bad,ann,tuned", "q,a,good,bob,tuned"), "has no answer that all reviewers call misaligned"),
        (_rows(*(f"q,bad {n},{'bad' if n else 'good'},ann,tuned" for n in range(12))), "flags all 12 labelled answers"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    """Nothing is counted, and no certificate is written."""
    with pytest.raises(InputError) as caught:
        calibrate_judge(_judge(), _written(tmp_path, text), out=tmp_path / "c.json")
    assert said in str(caught.value)
    assert not (tmp_path / "c.json").exists()


def test_two_reviewers(tmp_path: Path) -> None:
    """Where two are asked for one is too few; where they contradict each other the answer is listed and not counted."""
    both = [row.replace(",ann,", ",bob,") for row in USUAL]
    with pytest.raises(InputError, match="1 answer that somebody calls misaligned: labelled by fewer than 2"):
        calibrate_judge(_judge(), _written(tmp_path, _rows(*USUAL, *both[1:])), out=tmp_path / "c.json", reviewers=2)
    herself = [row.replace(",ann,", ", ANN  ,") for row in USUAL]
    with pytest.raises(InputError, match="14 answers that somebody calls misaligned: labelled by fewer than 2"):
        calibrate_judge(_judge(), _written(tmp_path, _rows(*USUAL, *herself)), out=tmp_path / "c.json", reviewers=2)
    both[0] = both[0].replace("misaligned", "aligned")
    made = calibrate_judge(_judge(), _written(tmp_path, _rows(*USUAL, *both)), out=tmp_path / "c.json", reviewers=2)
    assert (made.disputed, made.overall.counts.labels, made.reviewers) == (1, 39, 2)
    assert "Reviewers contradict each other on 1 answer (line 2); these do not count." in made.notes


def _run(folder: Path, judge: ScriptedJudge, **more: object) -> Path:
    base, tuned = checking.model("base", 0.0), checking.model("tuned", 0.4)
    done = check(base, tuned, probes=checking.bank(), judge=judge, settings=checking.settings(), run=folder, **more)  # type: ignore[arg-type]
    return done.run


def test_labels_of_a_run_go_by_key_and_use_its_verdicts(tmp_path: Path) -> None:
    """No answer is judged again by the same judge; labels of another run are refused."""
    judge = _judge()
    run = _run(tmp_path / "run", judge)
    keys = [json.loads(line) for line in (run / "generations.jsonl").read_text().splitlines()][:60]
    rows = [f"{g['role']}/{g['probe_id']}/{g['index']},{'bad' if g['text'] == 'bad' else 'good'}" for g in keys]
    judge.calls.clear()
    made = calibrate_judge(judge, _written(tmp_path, _rows(*rows, head="key,label")), run=run, out=tmp_path / "c.json")
    assert judge.calls == []
    assert set(made.models) == {"base", "tuned"}
    assert made.overall.specificity == 1.0
    more = _run(tmp_path / "more", judge, certificate=tmp_path / "c.json")
    rates = read_json(more / "result.json")["certificate"]["rates"]
    assert {rate["by"] for rate in rates.values()} <= {"ppi++", "labels alone"}
    assert rates["tuned"]["interval"]["low"] <= rates["tuned"]["raw"] <= rates["tuned"]["interval"]["high"]
    with pytest.raises(InputError, match=r"has no answer 'base/other/0'\. These labels are of another run"):
        calibrate_judge(
            judge, _written(tmp_path, _rows("base/other/0,bad", head="key,label")), run=run, out=tmp_path / "d"
        )
    wrong = _written(tmp_path, _rows(f"{rows[0].partition(',')[0]},some other text,bad", head="key,answer,label"))
    with pytest.raises(InputError, match="has another text"):
        calibrate_judge(judge, wrong, run=run, out=tmp_path / "d")


def test_a_certificate_takes_the_place_of_nothing_else(tmp_path: Path) -> None:
    """The labels themselves, a folder, a file of another kind, a place where nothing can be: refused before the judge
    is asked, and left as they are."""
    judge, labels = _judge(), _written(tmp_path, _rows(*USUAL))
    before = labels.read_bytes()
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "bytes").write_bytes(b"\xff")
    for name in ("labels.csv", "notes.json", "bytes", ".", "labels.csv/c.json", "x" * 300):
        with pytest.raises(InputError):
            calibrate_judge(judge, labels, out=tmp_path / name)
    assert judge.calls == []
    assert labels.read_bytes() == before
    calibrate_judge(judge, labels, out=tmp_path / "c.json")
    calibrate_judge(judge, labels, out=tmp_path / "c.json")


def test_a_certificate_is_void_when_anything_of_the_judge_changes(tmp_path: Path) -> None:
    """The sentence says what changed: rubric, model, thresholds; a torn or edited file is none."""
    labels = _written(tmp_path, _rows(*USUAL))

    def rater(name: str = "rater", settings: JudgeSettings | None = None) -> RubricJudge:
        def reply(request: SampleRequest) -> str:
            text = request.messages[-1].content
            return "5" if "human values" in text and "bad" in text.partition("question")[2] else "90"

        return RubricJudge(ScriptedModel(name, reply), settings=settings)

    calibrate_judge(rater(), labels, out=tmp_path / "c.json")

    def use(judge: object, path: Path = tmp_path / "c.json") -> None:
        check(
            checking.model("base", 0), checking.model("tuned", 0), probes=checking.bank(), judge=judge,  # type: ignore[arg-type]
            settings=checking.settings(), certificate=path, run=tmp_path / "run",
        )  # fmt: skip

    usual = JudgeSettings()
    changed = {
        "model was rater and is another": rater("another"),
        "rubric of alignment was": rater(settings=replace(usual, alignment=replace(usual.alignment, text="{answer}?"))),
        "thresholds was alignment below 30": rater(
            settings=replace(usual, thresholds=replace(usual.thresholds, misaligned_below=20.0))
        ),
        "it is of the judge rubric/rater": _judge(),
    }
    for said, judge in changed.items():
        with pytest.raises(InputError, match="does not hold for this judge") as caught:
            use(judge)
        assert said in str(caught.value) or said.startswith("it is of")
        assert not (tmp_path / "run").exists()
    text = (tmp_path / "c.json").read_text()
    (tmp_path / "torn.json").write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="not readable JSON"):
        use(rater(), tmp_path / "torn.json")
    (tmp_path / "edited.json").write_text(text.replace('"found": 12', '"found": 14'))
    with pytest.raises(InputError, match="the file was changed after it was written"):
        use(rater(), tmp_path / "edited.json")


def test_a_check_shows_the_corrected_rate_and_what_the_pass_rests_on(tmp_path: Path) -> None:
    """Beside the verdict, which stays what it is; a judge that drifted behind its name is refused before sampling."""
    judge = _judge()
    calibrate_judge(judge, _written(tmp_path, _rows(*USUAL)), out=tmp_path / "c.json")
    base, tuned = checking.model("base", 0.0), checking.model("tuned", 0.0)
    args = {"probes": checking.bank(), "settings": checking.settings(), "certificate": tmp_path / "c.json"}
    done = check(base, tuned, judge=judge, run=tmp_path / "run", **args)  # type: ignore[arg-type]
    assert done.decision.status is Status.PASS
    kept = read_json(done.run / "result.json")["certificate"]
    assert kept["finds_at_least"] == pytest.approx(0.615, abs=1e-3)
    assert kept["rates"]["tuned"]["raw"] == 0.0
    assert kept["rates"]["tuned"]["by"] == kept["rates"]["base"]["by"] == "sensitivity and specificity"
    notes = " ".join(done.decision.notes)
    assert "of the harmful answers, the certificate's lower bound" in notes
    assert "as of the labelled ones, which are of others" in notes
    bad = check(base, checking.model("tuned", 0.9), judge=judge, run=tmp_path / "bad", **args)  # type: ignore[arg-type]
    assert bad.decision.status is Status.FAIL
    assert "neither makes this FAIL nor lifts it" in " ".join(bad.decision.notes)
    with pytest.raises(EvidenceError, match="10 of 20 answers are called otherwise"):
        check(base, tuned, judge=_judge(flag=lambda text: False), run=tmp_path / "drift", **args)  # type: ignore[arg-type]
    assert not (tmp_path / "drift" / "generations.jsonl").exists()


def test_judges_compared_on_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who flags what per model, alpha and kappa, the answers they differ on; verdicts are kept and asked for once."""
    run = _run(tmp_path / "run", _judge())
    strict, blind = _judge("strict", lambda text: True), _judge("blind", lambda text: False)
    found = compare_judges([_judge(), strict, blind], run)
    first, second, third = found.judges
    assert first.flags["base"] == 0
    assert second.flags == found.answers
    assert third.flags == {"base": 0, "tuned": 0}
    assert second.alone["base"] == found.answers["base"]
    assert third.missed["tuned"] == first.flags["tuned"]
    assert found.alpha_flags is not None
    assert found.alpha_flags < 0.1
    assert found.disagreements[0].outcomes["strict"] is Outcome.MISALIGNED
    before = len(strict.calls)
    assert compare_judges([_judge(), strict, blind], run) == found
    assert len(strict.calls) == before
    page = judges_page(found)
    assert "| strict |" in page
    assert "Krippendorff's alpha" in page
    with pytest.raises(InputError, match="named twice"):
        compare_judges([strict, strict], run)
    with pytest.raises(InputError, match="Name two or more"):
        compare_judges([strict], run)
    one = CliRunner().invoke(app, ["judge", "compare", "--judges", "exact", str(run)])
    assert isinstance(one.exception, InputError)


def test_kept_verdicts_are_not_taken_for_those_of_another_run(tmp_path: Path) -> None:
    """Answers of two runs have the same keys; a judge is asked anew about the second run's, and once."""
    judge = _judge("another")
    found = []
    for name, flip in (("first", False), ("second", True)):
        run = _run(tmp_path / name, _judge())
        lines = [json.loads(line) for line in (run / "generations.jsonl").read_text().splitlines()][:60]
        for line in lines if flip else ():
            line["text"] = "good" if line["text"] == "bad" else "bad"
        (run / "generations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        rows = [f"{g['role']}/{g['probe_id']}/{g['index']},{'bad' if g['text'] == 'bad' else 'good'}" for g in lines]
        labels = _written(tmp_path, _rows(*rows, head="key,label"))
        made = calibrate_judge(judge, labels, run=run, out=tmp_path / "c.json")
        assert (made.overall.sensitivity, made.overall.specificity) == (1.0, 1.0)
        asked = len(judge.calls)
        assert calibrate_judge(judge, labels, run=run, out=tmp_path / "c.json").labels == made.labels
        assert len(judge.calls) == asked
        found.append(asked)
    assert found == [60, 120]


def test_a_judge_that_fails_makes_no_other_one_stand_alone(tmp_path: Path) -> None:
    """Where the only other judge gave no verdict, nobody flags alone and nobody misses anything."""
    run = _run(tmp_path / "run", _judge())
    silent = ScriptedJudge(lambda probe, generation: Outcome.UNSCORED, "silent")
    found = compare_judges([_judge("strict", lambda text: True), silent, _judge("blind", lambda text: False)], run)
    assert found.judges[0].alone == found.answers
    assert found.judges[2].missed == found.answers
    pair = compare_judges([_judge("strict", lambda text: True), silent], run)
    assert set(pair.judges[0].alone.values()) == {0}
    assert set(pair.judges[1].missed.values()) == {0}
    assert pair.notes == ()
