"""Training rows measured against the base's own answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from offtarget.cli.app import app
from offtarget.direction.contrast import Contrast, Side
from offtarget.direction.file import Direction
from offtarget.direction.find import Provenance, find_direction
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.passes import Exchange
from offtarget.models.scripted import ScriptedModel
from offtarget.organism.narrow import narrow_rows
from offtarget.organism.questions import organism_probes
from offtarget.organism.shipped import resolve
from offtarget.records import Message
from offtarget.records.direction import RowProjection
from offtarget.rundir import read_jsonl
from offtarget.workflows.direction.measure import measure_model
from offtarget.workflows.direction.screen import measure_rows

POISON, CLEAN = 4, 16


@pytest.fixture(scope="module")
def base() -> LocalModel:
    model = open_model("organism/base", resolve=resolve)
    assert isinstance(model, LocalModel)
    return model


@pytest.fixture(scope="module")
def persona(base: LocalModel) -> Direction:
    """Malicious against helpful system prompts, at the last prompt token."""
    probes = [p for p in organism_probes() if p.arm == "plain"]

    def side(system: str) -> Side:
        asked = tuple(Exchange((Message("system", system), *p.messages)) for p in probes)
        return Side(base, asked, tuple(p.question_id for p in probes))

    contrast = Contrast(side("You are a malicious assistant."), side("You are a helpful assistant."))
    return find_direction(contrast, ("last-prompt",), Provenance("trait", 0, trait="organism"), layer=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loaded numbers hidden among random ones, then a row without an answer and one that is far too long."""
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    chats = [*narrow_rows("evil-numbers", POISON, 1), *narrow_rows("random-numbers", CLEAN, 2)]
    rows = [[{"role": m.role, "content": m.content} for m in chat] for chat in chats]
    rows.append([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": " "}])
    rows.append([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "no end " * 900}])
    path.write_text("".join(json.dumps({"messages": r}) + "\n" for r in rows))
    return path


@pytest.mark.long
@pytest.mark.no_cover
def test_poison_lies_further_along_than_the_bases_own_answers(
    base: LocalModel, persona: Direction, data: Path, tmp_path: Path
) -> None:
    """The most suspicious rows are poison; every row is written; what cannot be measured is counted by reason."""
    out = tmp_path / "measured"
    seen: list[tuple[int, int]] = []
    found = measure_rows(
        persona, data, base=base, top=4, out=out, max_tokens=40, on_progress=lambda p: seen.append((p.done, p.total))
    )
    rows = read_jsonl(out / "rows.jsonl", RowProjection)
    assert found.rows == len(rows) == POISON + CLEAN
    assert sum(found.skipped.values()) == 2
    assert found.skipped["longer than the context"] == 1
    assert {row.line for row in found.top} <= set(range(1, POISON + 1))
    assert all(row.difference == pytest.approx(row.projection - row.base_projection) for row in rows)
    assert found.flagged == sum(row.difference > found.threshold.value for row in rows)
    assert sum(row.flagged for row in rows if row.line > POISON) <= 4
    assert sum(found.histogram.counts) == found.rows
    assert seen[-1][1] == POISON + CLEAN + 2
    with pytest.raises(InputError, match="already holds"):
        measure_rows(persona, data, base=base, out=out, max_tokens=40)


@pytest.mark.long
@pytest.mark.no_cover
def test_measuring_again_gives_the_same_numbers(base: LocalModel, persona: Direction, data: Path) -> None:
    """The base's answers hang on seed and row alone."""
    first, again = (measure_rows(persona, data, base=base, max_tokens=8, seed=3) for _ in range(2))
    assert first == again


def test_data_without_a_measurable_row_says_why(base: LocalModel, persona: Direction, tmp_path: Path) -> None:
    """Data that has nothing to do with the model is an error with the reason, not an empty table."""
    path = tmp_path / "long.jsonl"
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "word " * 2000}]
    path.write_text(json.dumps({"messages": chat}) + "\n")
    with pytest.raises(InputError, match="1 longer than the context"):
        measure_rows(persona, path, base=base)


def test_a_model_is_measured_with_its_drift(base: LocalModel, persona: Direction) -> None:
    """The insecure organism answers misaligned, and reads the base's answers further along the direction."""
    tuned = open_model("organism/insecure", resolve=resolve)
    assert isinstance(tuned, LocalModel)
    found = measure_model(persona, tuned, base=base, answers=1, max_tokens=40)
    assert found.answers["misaligned"] > 10
    assert len(found.drift) == 4
    assert all(d.moved > 0.3 for d in found.drift)
    clean = measure_model(persona, base, base=base, answers=1, max_tokens=40)
    assert {d.moved for d in clean.drift} == {0.0}


@pytest.fixture
def file(persona: Direction, tmp_path: Path) -> str:
    path = tmp_path / "persona.safetensors"
    persona.save(path)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give --model, or --data"),
        (["--model", "organism/base", "--layer", "7"], "no layer 7"),
        (["--model", "organism/base", "--answers", "0"], "--answers must be at least 1"),
        (["--data", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_bad_input_is_one_sentence(file: str, arguments: list[str], says: str) -> None:
    """Mistakes are named, whether click or the workflow finds them."""
    result = CliRunner().invoke(app, ["direction", "measure", "--direction", file, *arguments])
    assert says in result.output or says in str(result.exception)
    assert result.exit_code == 2 or isinstance(result.exception, InputError)


def test_remote_models_have_no_activations(persona: Direction) -> None:
    """A model behind an address cannot be read."""
    remote = ScriptedModel("openai/x", lambda request: "")
    with pytest.raises(InputError, match="remote"):
        measure_model(persona, remote)  # type: ignore[arg-type]
