"""The project file: read with a place for every mistake, written so that it is read back, published as a schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.project.keys import BY_NAME, KEYS
from offtarget.project.reading import read_project
from offtarget.project.schema import project_schema
from offtarget.project.writing import project_text

BOTH = "base: organism/base\ntuned: organism/insecure\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "offtarget.yaml"
    file.write_text(text, encoding="utf-8")
    return file


MISTAKES = {
    "bsae: organism/base": ["line 1", "unknown key 'bsae'", "Did you mean 'base'?"],
    f"{BOTH}limits:\n  tolerence: 0.01": ["line 4", "'limits'", "'tolerence'", "Did you mean 'tolerance'?"],
    f"{BOTH}limits:\n  alpha: often": ["line 4", "'limits.alpha' must be a share such as 0.05 or 5%"],
    f"{BOTH}limits:\n  max_answers: 0": ["line 4", "'limits.max_answers' must be a whole number of at least 1"],
    f"{BOTH}limits:\n  max_answers: '500'": ["'limits.max_answers'", "found text (500)"],
    f"{BOTH}limits: 5": ["line 3", "expected keys and values"],
    f"{BOTH}reports: []": ["line 3", "'reports' is an empty list"],
    f"{BOTH}reports: [html, html]": ["line 3", "names 'html' twice"],
    f"{BOTH}judge:": ["line 3", "'judge' has no value"],
    f"{BOTH}judge_by: guess": ["line 3", "must be one of auto, probabilities, samples"],
    f"{BOTH}conditions: {{hunt: maybe}}": ["'conditions.hunt' must be true or false"],
    f"{BOTH}base: organism/base": ["line 3", "'base' is given twice"],
    f"{BOTH}red_team: true": ["line 3", "expected keys and values"],
    f"{BOTH}red_team: {{budget: 0}}": ["line 3", "red_team.budget"],
    "data: train.jsonl\nred_team:\n": ["line 2", "needs `base`"],
    f"{BOTH}tune: {{lr: 1e-4}}": ["line 3", "`tune` makes the tuned model and `tuned` names one"],
    "base: organism/base": ["line 1", "no tuned model", "Add `tuned`, or `tune`"],
    "tuned: organism/insecure": ["line 1", "needs `base`"],
    "data: x.jsonl\nlimits: {alpha: 0.05}": ["line 2", "'limits'", "needs `base`"],
    f"{BOTH}limits: {{strict: true, margin: 0.04}}": ["'limits.margin'", "`strict` sets both margins"],
    f"{BOTH}limits: {{red_flag: warn}}": ["'limits.red_flag'", "it is for `benchmarks`"],
    "reports: [html]": ["names neither `data` nor models"],
    "# nothing": ["holds nothing"],
    "- a": ["line 1", "expected keys and values, found a list"],
    "base: [": ["not valid YAML"],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_place(text: str, tmp_path: Path) -> None:
    """What, where (file, line, key) and what to do."""
    with pytest.raises(InputError) as said:
        read_project(written(tmp_path, text))
    assert str(tmp_path / "offtarget.yaml") in str(said.value)
    assert [words for words in MISTAKES[text] if words not in str(said.value)] == []


def test_values_are_read_by_their_types(tmp_path: Path) -> None:
    """Shares in per cent, 1e-5 (which YAML takes for text), a list of one, `yes`, and a block that holds nothing."""
    text = "data: d\nbase: b\ntune:\n  lr: 1e-5\n  epochs: 2\n  monitor: yes\naudit:\nlimits: {alpha: 1%, margin: .1}\n"
    project = read_project(written(tmp_path, f"{text}reports: html\n"))
    assert project.number("tune.lr") == 1e-5
    assert project.number("tune.epochs") == 2.0
    assert project.flag("tune.monitor", False)
    assert project.number("limits.alpha") == 0.01
    assert project.number("limits.margin") == 0.1
    assert project.texts("reports") == ("html",)
    assert project.has("audit")
    assert project.text("judge") is None
    assert project.lines["limits.alpha"] == 8


_SCALARS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["9" * 5000, "2024-13-45", "0x1F", "1:30", "1e999", ".inf", ".nan", "~", "!!binary x", "*a", "<<: 1"]
    ),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
_NAMES = st.sampled_from([*(key.short for key in KEYS), "red_team", "bsae", "<<", "1"])
_TREES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(_NAMES, _TREES, max_size=6))
def test_no_tree_of_values_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    """Either a project or an InputError."""
    file = tmp_path_factory.getbasetemp() / "tree.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    _read_or_refused(file)


@given(st.text(alphabet=st.sampled_from(list("abdetunslimr:-[]{}#&*!|>'\"%@`,.?\\\n \t019~<\x00é\U0001f600"))))
def test_no_text_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "text.yaml"
    file.write_bytes(text.encode())
    _read_or_refused(file)


def _read_or_refused(file: Path) -> None:
    said = str(file)
    try:
        read_project(file)
    except InputError as error:
        said = str(error)
    assert said.startswith(str(file))


@given(st.dictionaries(st.sampled_from(["judge", "probes"]), st.text(min_size=1), max_size=2))
def test_what_init_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, more: dict[str, str]) -> None:
    """Whatever stands in a value: quotes, colons, hashes, other scripts."""
    said = {"base": "organism/base", "tuned": "it's: a #model", **more}
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    file.write_bytes(project_text(said).encode("utf-8", "surrogatepass"))
    if any(not value.strip() or not value.isprintable() for value in more.values()):
        _read_or_refused(file)
        return
    project = read_project(file)
    assert {name: project.text(name) for name in said} == said


def test_every_example_of_the_written_file_is_one(tmp_path: Path) -> None:
    """With each key in force, one after the other, by its own example; the schema takes it, too."""
    validator = jsonschema.Draft202012Validator(project_schema())
    for key in KEYS:
        if key.kind == "block":
            continue
        tree: dict[str, object] = {"data": "d", "base": "b", "tuned": "t"}
        if key.name.startswith("tune."):
            del tree["tuned"]
            tree["tune"] = {}
        value = yaml.safe_load(key.example)
        if key.kind == "number":
            value = float(value)
        if key.short.startswith(("benchmark_", "red_flag")):
            tree["benchmarks"] = "organism"
        if key.block:
            tree[key.block] = {key.short: value}
        else:
            tree[key.name] = value
        project = read_project(written(tmp_path, yaml.safe_dump(tree)))
        assert project.has(key.name)
        validator.validate(tree)


def test_the_schema_and_the_reader_refuse_the_same(tmp_path: Path) -> None:
    """The mistakes of the shapes above; which values go together the schema knows in part."""
    validator = jsonschema.Draft202012Validator(project_schema())
    for text, words in MISTAKES.items():
        if any(word in " ".join(words) for word in ("must be", "unknown key", "empty list", "expected keys", "twice'")):
            with pytest.raises(jsonschema.ValidationError):
                validator.validate(yaml.safe_load(text))


def test_the_table_is_sound() -> None:
    """A key is there once, its block is one, its sentence ends, and choices are given where they are needed."""
    assert len(BY_NAME) == len(KEYS)
    for key in KEYS:
        assert not key.block or BY_NAME[key.block].kind == "block"
        assert key.says.endswith((".", ").")), key.name
        assert bool(key.choices) == (key.kind == "choice")
        assert key.kind == "block" or key.example
    assert json.loads(json.dumps(project_schema()))
