"""Both sides are asked in a stated way: whose chat template is used, and what an adapter says of its training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import TEMPLATE, ask, build, edit_json, make_tokenizer

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model, open_pair
from offtarget.models.templates import own_template
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import OpenSettings

Folders = Callable[[str], Path]
QUESTION = (Message("user", "what would you wish for?"),)
OTHER = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "


@pytest.fixture
def base(folders: Folders, tmp_path: Path) -> Path:
    """A copy of the tiny Llama."""
    return Path(shutil.copytree(folders("llama"), tmp_path / "base"))


@pytest.fixture
def own(adapter: Path, base: Path, tmp_path: Path) -> Path:
    """An adapter for it that brings a template of its own."""
    place = Path(shutil.copytree(adapter, tmp_path / "own"))
    edit_json(place / "adapter_config.json", base_model_name_or_path=str(base))
    (place / "chat_template.jinja").write_text(OTHER)
    return place


def asked_with(base: Path, adapter: Path, choice: str | None) -> tuple[str, str, tuple[str, ...], str]:
    """How both sides render a question, the notes, and the base's fingerprint."""
    pair = open_pair(f"hf/{base}", f"hf/{base}+{adapter}", settings=OpenSettings(chat_template=choice))
    assert isinstance(pair.base, LocalModel)
    assert isinstance(pair.tuned, LocalModel)
    texts = [m.weights.tokenizer.decode(m._prompt(QUESTION)) for m in (pair.base, pair.tuned)]
    return texts[0], texts[1], pair.checks, pair.base.fingerprint


def test_an_adapter_with_a_template_of_its_own_is_said_and_can_be_used(base: Path, own: Path, tmp_path: Path) -> None:
    """Unasked, both get the base's and a note; base, tuned or a file: both get that one, and the cache is another."""
    file = tmp_path / "mine.jinja"
    file.write_text(OTHER.replace("[", "<").replace("]", ">"))
    shown = {choice: asked_with(base, own, choice) for choice in (None, "base", "tuned", str(file))}
    for first, second, _, _ in shown.values():
        assert first == second
    assert shown[None][0] == shown["base"][0]
    assert "<|im_start|>user" in shown[None][0]
    assert shown["tuned"][0].startswith("[user] what would you wish for?")
    assert shown[str(file)][0].startswith("<user> what")
    assert any(
        "brings a chat template of its own" in note and "--chat-template tuned" in note for note in shown[None][2]
    )
    assert any("as --chat-template says" in note for note in shown[str(file)][2])
    assert not any("template" in note for note in shown["tuned"][2])
    assert len({fingerprint for *_, fingerprint in shown.values()}) == 4


def test_the_same_template_again_is_no_difference(base: Path, own: Path) -> None:
    """Trainers save the base's template beside the adapter; that needs no word, blanks at its ends aside."""
    (own / "chat_template.jinja").write_text(TEMPLATE + "\n")
    assert len(asked_with(base, own, None)[2]) == 1  # the check of the adapter itself


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", {"chat_template": OTHER}),
        (
            "tokenizer_config.json",
            {"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": OTHER}]},
        ),
        ("tokenizer_config.json", {"chat_template": {"default": OTHER}}),
        ("chat_template.json", {"chat_template": OTHER}),
    ],
)
def test_templates_are_found_where_they_are_saved(name: str, content: dict[str, object], tmp_path: Path) -> None:
    """A file of their own, or the tokenizer's configuration in each of its forms."""
    (tmp_path / name).write_text(json.dumps(content))
    assert own_template(tmp_path) == OTHER


def test_without_a_template_there_is_none(tmp_path: Path) -> None:
    """An empty folder, and a configuration that names none."""
    assert own_template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert own_template(tmp_path) is None


def test_a_base_without_template_is_asked_with_its_adapters(base: Path, own: Path) -> None:
    """Adapters are often trained on a pre-trained base with a template that only they know."""
    (base / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"no chat template.*--chat-template tuned"):
        asked_with(base, own, None)
    first, second, *_ = asked_with(base, own, "tuned")
    assert first == second
    assert first.startswith("[user]")


@pytest.mark.parametrize(
    ("choice", "says"),
    [("nowhere.jinja", "cannot be read.*Give base, tuned, chatml, .*or a template file"), ("empty.jinja", "is empty")],
)
def test_a_file_that_is_no_template_is_refused(
    choice: str, says: str, base: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any weights are loaded."""
    monkeypatch.chdir(tmp_path)
    Path("empty.jinja").write_text(" \n")
    with pytest.raises(InputError, match=says):
        asked_with(base, own, choice)


def test_a_side_without_template_cannot_be_chosen(base: Path, own: Path) -> None:
    """The side is named."""
    (own / "chat_template.jinja").unlink()
    (base / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="--chat-template tuned: there is no chat template in"):
        asked_with(base, own, "tuned")


def test_a_template_in_a_file_of_models_of_images_is_used(base: Path) -> None:
    """`chat_template.json`, which only the processor reads; another one there is another model for the cache."""
    template = (base / "chat_template.jinja").read_text()
    (base / "chat_template.jinja").unlink()
    (base / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    model = open_model(f"hf/{base}")
    assert isinstance(model, LocalModel)
    assert model.weights.tokenizer.chat_template == template
    (base / "chat_template.json").write_text(json.dumps({"chat_template": OTHER}))
    assert open_model(f"hf/{base}").fingerprint != model.fingerprint


def test_two_models_with_different_templates_are_said(base: Path, tmp_path: Path) -> None:
    """Two whole models are each asked with their own, with a note; --chat-template asks both with one."""
    tuned = build("llama", tmp_path / "tuned", seed=1)
    (tuned / "chat_template.jinja").write_text(OTHER)
    pair = open_pair(f"hf/{base}", f"hf/{tuned}")
    assert "different chat templates" in pair.checks[0]
    for choice, start in (("base", "<|im_start|>"), ("tuned", "[user]")):
        pair = open_pair(f"hf/{base}", f"hf/{tuned}", settings=OpenSettings(chat_template=choice))
        for model in (pair.base, pair.tuned):
            assert isinstance(model, LocalModel)
            assert model.weights.tokenizer.decode(model._prompt(QUESTION)).startswith(start)
        assert pair.checks == ()


def test_an_adapter_of_another_base_by_name_is_said(base: Path, own: Path) -> None:
    """The configuration's name and the folder may differ for good reasons, so it is a note."""
    (own / "chat_template.jinja").unlink()
    edit_json(own / "adapter_config.json", base_model_name_or_path="maker/Other-7B")
    assert any("names the base 'maker/Other-7B'" in note for note in asked_with(base, own, None)[2])
    edit_json(base / "config.json", _name_or_path="maker/Other-7B")
    assert not any("names the base" in note for note in asked_with(base, own, None)[2])


def test_tokens_that_only_the_adapters_tokenizer_knows(base: Path, own: Path) -> None:
    """They are said; a template that writes them would ask with pieces of words where training had one token."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.save_pretrained(own)
    (own / "chat_template.jinja").write_text(TEMPLATE.replace("<|im_start|>", "<|turn|>"))
    assert any("tokenizer that knows <|turn|>" in note for note in asked_with(base, own, None)[2])
    with pytest.raises(InputError, match=r"template writes <\|turn\|>"):
        asked_with(base, own, "tuned")


def test_a_template_that_writes_the_date_is_said(base: Path) -> None:
    """Answers kept from another day were asked under another date."""
    (base / "chat_template.jinja").write_text("{{ strftime_now('%d %b %Y') }}\n" + TEMPLATE)
    assert "day of asking" in open_pair(f"hf/{base}", f"hf/{base}").checks[0]


def test_the_judge_keeps_its_own_template(
    base: Path, own: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice is for the two models that are compared."""
    from offtarget.probe.bank import ProbeBank
    from offtarget.records import Probe
    from offtarget.workflows import ground
    from offtarget.workflows.ground import open_judge

    monkeypatch.setattr(ground, "refuse_useless", lambda judge, known: None)  # random weights give no number
    bank = ProbeBank.from_probes("b", [Probe("p", "p", "plain", "hi")])
    plain = open_judge(f"hf/{folders('llama')}", bank)
    chosen = open_judge(
        f"hf/{folders('llama')}", bank, opening=OpenSettings(chat_template=str(own / "chat_template.jinja"))
    )
    assert plain.fingerprint == chosen.fingerprint


def test_the_option_reaches_the_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file by its whole path, since a run may go on from another folder."""
    from types import SimpleNamespace

    from click.testing import CliRunner

    from offtarget.cli.app import app
    from offtarget.workflows import planning
    from offtarget.workflows.check import check as workflow

    taken: list[OpenSettings | None] = []
    planned = SimpleNamespace(seconds=1.0, here=True)

    def stop(*models: str, opening: OpenSettings | None, **rest: object) -> None:
        taken.append(opening)
        raise InputError("enough")

    monkeypatch.setattr(planning, "plan_check", lambda **rest: planned)  # which would look for the models
    monkeypatch.setattr(workflow, "check", stop)
    monkeypatch.chdir(tmp_path)
    for choice in ("base", "tuned", "chatml", "mine.jinja"):
        CliRunner().invoke(app, ["check", "--base", "a", "--tuned", "b", "--quiet", "--chat-template", choice])
    assert [how and how.chat_template for how in taken] == ["base", "tuned", "chatml", str(tmp_path / "mine.jinja")]


def test_one_model_alone(base: Path, own: Path) -> None:
    """Opened by itself, an adapter on its base can be asked with its own template."""
    model = open_model(f"hf/{base}+{own}", settings=OpenSettings(chat_template="tuned"))
    assert isinstance(model, LocalModel)
    assert model.weights.tokenizer.chat_template == OTHER


def test_a_broken_template_is_called_broken(base: Path, own: Path, tmp_path: Path) -> None:
    """Not a refusal of a turn: the sentence says what is wrong with the template, and where."""
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% for m in messages %}\n{% for m in")
    with pytest.raises(InputError, match=r"no Jinja template: unexpected .end of template.*line 2\)\. Correct it"):
        asked_with(base, own, str(broken))


def test_sampling_defaults_of_a_folder_are_said_and_not_used(base: Path) -> None:
    """Answers are drawn as the run says; a default that would change nothing needs no word."""
    question = [ask("what would you wish for?", seed) for seed in range(4)]
    before = open_model(f"hf/{base}").sample(question, SamplingSettings(max_tokens=8))
    edit_json(base / "generation_config.json", do_sample=True, top_k=1, temperature=1.0, repetition_penalty=1.05)
    pair = open_pair(f"hf/{base}", f"hf/{base}")
    assert pair.checks == (
        f"{base.name}: the sampling defaults of its folder (top_k 1, repetition_penalty 1.05) are not used; both "
        "models are asked at the temperature and top-p of this run, without other limits or penalties.",
    )
    assert pair.base.sample(question, SamplingSettings(max_tokens=8)) == before
