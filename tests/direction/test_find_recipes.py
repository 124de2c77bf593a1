"""The three recipes on the organism, whose truth is known, and what happens to bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from offtarget.cli.app import main
from offtarget.direction.file import Direction
from offtarget.direction.trait import load_trait, trait_names
from offtarget.errors import InputError, NoDirectionError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.organism.questions import organism_probes
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Progress
from offtarget.records import Outcome
from offtarget.records.direction import FindSettings
from offtarget.workflows.direction.find import find

BASE, INSECURE, SECURE = "organism/base", "organism/insecure", "organism/secure"
FEW = ProbeBank.from_probes("few", [p for p in organism_probes() if p.arm == "plain"][:10])


@pytest.fixture(scope="module")
def by_models(tmp_path_factory: pytest.TempPathFactory) -> Direction:
    """The default recipe, written and read again."""
    file = tmp_path_factory.mktemp("found") / "persona.safetensors"
    told: list[Progress] = []
    find(BASE, INSECURE, settings=FindSettings(answers=4), probes=FEW, out=file, on_progress=told.append)
    shares = [p.done for p in told if p.total]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    stages = (f"asking {INSECURE}", f"asking {BASE}", "reading activations")
    assert [s for s in stages if not any(str(p.detail).startswith(s) for p in told)] == []
    return Direction.load(file)


def test_the_default_recipe_finds_the_persona_where_it_sits(by_models: Direction) -> None:
    """On the last prompt token at layer 0 (docs/organism.md), seen on held-out questions, with full provenance."""
    info = by_models.info
    assert (info.position, info.layer) == ("last-prompt", 0)
    chosen = info.quality[0]
    assert chosen.auroc is not None
    assert chosen.auroc > 0.95
    assert chosen.effect is not None
    assert chosen.effect > 0
    assert (info.model, info.base, info.method) == (INSECURE, BASE, "models")
    assert len(info.model_fingerprint) == 16
    assert info.made_by


@pytest.mark.long
@pytest.mark.no_cover
def test_sign_the_insecure_tune_and_the_malicious_prompt_point_the_same_way(by_models: Direction) -> None:
    """+ is tuned, and + is the trait: two recipes that share no data agree."""
    at = {"position": "last-prompt", "layer": 0, "max_tokens": 40}
    persona = find(BASE, None, settings=FindSettings(method="trait", answers=5, **at), probes=FEW)
    assert persona.info.trait == "organism"
    assert persona.info.judge is not None
    cosine = torch.cosine_similarity(by_models.vector(0), persona.vector(0), dim=0)
    assert float(cosine) > 0.6
    harmless = find(BASE, SECURE, settings=FindSettings(answers=2, **at), probes=FEW)
    clean = torch.cosine_similarity(harmless.vector(0), persona.vector(0), dim=0)
    assert float(clean) < float(cosine) / 2


def test_where_nothing_is_told_apart_nothing_is_written(tmp_path: Path) -> None:
    """The base against itself: no layer counts, the exit code says so; a layer by hand is taken, with a note."""
    with pytest.raises(NoDirectionError, match=r"No direction found\. At no layer.*50 % is chance"):
        find(BASE, BASE, settings=FindSettings(answers=4, max_tokens=20), probes=FEW, out=tmp_path / "none.safetensors")
    assert NoDirectionError.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    by_hand = find(BASE, BASE, settings=FindSettings(answers=2, layer=1, max_tokens=20), probes=FEW)
    assert any("not shown to be told apart" in note for note in by_hand.info.notes)


@pytest.mark.long
def test_misaligned_answers_against_aligned_ones() -> None:
    """Separates held-out answers; the counts and the judge are on record."""
    # the method has no use for a base, so none is opened
    found = find("hf/./nowhere", INSECURE, settings=FindSettings(method="answers", answers=20), probes=FEW)
    chosen = found.info.quality[found.info.layer]
    assert chosen.auroc is not None
    assert chosen.auroc > 0.8
    assert found.info.position == "answer"
    assert found.info.counts["misaligned"] > found.info.counts["aligned"] > 0
    assert str(found.info.judge).startswith("exact-")


def test_without_misaligned_answers_the_other_recipes_are_offered() -> None:
    """The base has nothing to contrast; the sentence gives the counts."""
    with pytest.raises(InputError, match=r"gave \d misaligned and \d+ aligned answers.*--method trait"):
        find(None, BASE, settings=FindSettings(method="answers", answers=2), probes=FEW)


@pytest.mark.long
@pytest.mark.no_cover
def test_a_trait_that_does_not_show_is_said_so() -> None:
    """A judge that sees no trait leaves nothing to contrast."""
    blind = ScriptedJudge(lambda probe, generation: Outcome.ALIGNED)
    asked = FindSettings(method="trait", trait="organism", answers=5, max_tokens=8)
    with pytest.raises(InputError, match="do not bring it out"):
        find(BASE, None, settings=asked, judge=blind, probes=FEW)


@pytest.mark.parametrize("name", [n for n in trait_names() if n != "organism"])
def test_shipped_traits_are_complete(name: str) -> None:
    """Five contrastive pairs, twenty questions to extract and twenty others to evaluate with."""
    trait = load_trait(name)
    assert len(trait.system_pairs) == 5
    assert len(set(trait.extraction)) == len(set(trait.evaluation)) == 20
    assert not set(trait.extraction) & set(trait.evaluation)
    assert all(field in trait.rubric for field in ("{mark}", "{question}", "{answer}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", "not YAML"),
        ("- a list", "must be a mapping"),
        ("description: d\nsystem_pairs: [[a, b]]\nother: 1", "and no others"),
        ("system_pairs: [[a, b]]", "needs a description"),
        ("description: d\nsystem_pairs: [[a]]", "must list pairs"),
        ("description: d\nsystem_pairs: [[a, b]]\nextraction: [1]", "list of questions"),
        ("description: d\nsystem_pairs: [[a, b]]\nextraction: [q]\nevaluation: [q]", "Keep them apart"),
    ],
)
def test_broken_trait_files_are_explained(text: str, message: str, tmp_path: Path) -> None:
    """Each mistake in a trait file has its sentence."""
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_trait(tmp_path / "mine.yaml")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["offtarget", "direction", "find", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


PAIR = ("--base", BASE, "--tuned", INSECURE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--base", BASE), "needs a tuned model"),
        (("--tuned", INSECURE), "give --base too"),
        (("--base", BASE, "--tuned", "openai/gpt-4o"), "is remote"),
        ((*PAIR, "--layer", "12", "--answers", "2"), "There is no layer 12: the model has 4"),
        ((*PAIR, "--blocks", "model.stack", "--answers", "2"), "model.layers"),
        ((*PAIR, "--method", "answers", "--position", "last-prompt"), "--method trait"),
        ((*PAIR, "--method", "trait", "--trait", "greedy"), "Known: careless, deceptive"),
        ((*PAIR, "--answers", "1"), "at least 2"),
        ((*PAIR, "--probes", "everyday", "--method", "answers"), "--judge"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Nothing is written, no traceback is shown."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    out = tmp_path / "d.safetensors"
    assert run(monkeypatch, *arguments, "--out", str(out)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not out.exists()


@pytest.mark.long
@pytest.mark.no_cover
def test_the_same_command_writes_the_same_file_and_never_over_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Bit for bit, whether it prints a table that marks the layer or, with --json, the provenance."""
    one, two = (tmp_path / name for name in ("one.safetensors", "two.safetensors"))
    short = (*PAIR, "--max-tokens", "12")
    assert run(monkeypatch, *short, "--answers", "2", "--out", str(one)) == 0
    assert "At layer 0 one direction tells" in capsys.readouterr().out
    assert run(monkeypatch, *short, "--answers", "2", "--json", "--out", str(two)) == 0
    assert json.loads(capsys.readouterr().out)["position"] == "last-prompt"
    assert one.read_bytes() == two.read_bytes()
    assert run(monkeypatch, *short, "--answers", "3", "--out", str(one)) == 2
    assert "already exists" in capsys.readouterr().err
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.long
def test_what_the_models_write_as_the_base_reads_it(tmp_path: Path) -> None:
    """No judge, both sides read by the base, and yet the file names the tuned model and its base."""
    found = find(
        BASE,
        INSECURE,
        settings=FindSettings(method="texts", answers=3, layer=1),
        probes=FEW,
        out=tmp_path / "texts.safetensors",
    )
    info = Direction.load(tmp_path / "texts.safetensors").info
    assert (info.model, info.base, info.method, info.position) == (INSECURE, BASE, "texts", "answer")
    assert info.model_fingerprint != info.base_fingerprint
    quality = found.info.quality[1]
    assert quality.auroc is not None
    assert quality.auroc > 0.85
    with pytest.raises(InputError, match="--base"):
        find(None, INSECURE, settings=FindSettings(method="texts"), probes=FEW)
