from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import build, make_tokenizer

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.names import FORMS, LocalName, RemoteName, Source, parse_name
from offtarget.models.opening import open_model, open_pair
from offtarget.records.runs import OpenSettings

Folders = Callable[[str], Path]


@pytest.fixture
def copy(folders: Folders, tmp_path: Path) -> Path:
    """A copy of the tiny Llama to break."""
    return Path(shutil.copytree(folders("llama"), tmp_path / "copy"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf/Qwen/Qwen2.5-0.5B", LocalName("hf/Qwen/Qwen2.5-0.5B", Source("Qwen/Qwen2.5-0.5B"))),
        ("hf/a/b@v1", LocalName("hf/a/b@v1", Source("a/b", "v1"))),
        ("hf/./base+./adapter", LocalName("hf/./base+./adapter", Source("./base"), Source("./adapter"))),
        ("hf/a/b@v1+c/d@v2", LocalName("hf/a/b@v1+c/d@v2", Source("a/b", "v1"), Source("c/d", "v2"))),
        ("hf//abs/model", LocalName("hf//abs/model", Source("/abs/model"))),
        ("openai/gpt-4o", RemoteName("openai/gpt-4o", "openai", "gpt-4o")),
        ("vllm/a/b", RemoteName("vllm/a/b", "vllm", "a/b")),
        ("openai-api/lab/a/b", RemoteName("openai-api/lab/a/b", "lab", "a/b")),
    ],
)
def test_names_are_taken_apart(text: str, expected: object) -> None:
    """Every documented form parses into its parts."""
    assert parse_name(text) == expected


@pytest.mark.parametrize(
    "text", ["", "gpt-4o", "hf", "hf/", "hf/a+", "hf/+b", "openai/", "openai-api/lab", "organism/"]
)
def test_unknown_names_list_the_forms(text: str) -> None:
    """What is no model name gets a message that shows how one looks."""
    with pytest.raises(InputError, match="hf/"):
        parse_name(text)
    assert "organism/NAME" in FORMS


def test_a_bare_path_gets_the_hint_to_put_hf_before_it(copy: Path) -> None:
    """A folder typed without its kind is recognised."""
    with pytest.raises(InputError, match="it is a path here: try hf/"):
        parse_name(str(copy))


def test_folders_with_separators_in_their_names_win(folders: Folders, tmp_path: Path) -> None:
    """A+B and name@1 as real folder names are folders, not base and adapter or revision."""
    for name in ("a+b", "a@1"):
        (tmp_path / name).mkdir()
        assert parse_name(f"hf/{tmp_path / name}") == LocalName(f"hf/{tmp_path / name}", Source(str(tmp_path / name)))
    both = f"hf/{tmp_path / 'a+b'}+{tmp_path / 'a@1'}"
    assert parse_name(both) == LocalName(both, Source(str(tmp_path / "a+b")), Source(str(tmp_path / "a@1")))


def test_organism_names_need_a_resolver() -> None:
    """Without a registry the message says so."""
    with pytest.raises(InputError, match="no organisms"):
        parse_name("organism/base")


@pytest.mark.parametrize("name", ["hf/./not-there", "hf//not/there", "hf/~/not/there", "hf/./not+./there"])
def test_a_missing_folder_is_an_input_error(name: str) -> None:
    """The path is named."""
    with pytest.raises(InputError, match="does not exist"):
        open_model(name)


def test_an_unreachable_repository_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network a hub name says that it is neither a folder nor reachable."""
    import huggingface_hub

    def fail(*args: object, **kwargs: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InputError, match="neither a folder here"):
        open_model("hf/nobody/nothing")


def test_a_model_without_chat_template_is_refused(copy: Path) -> None:
    """Without a template there is no way to ask."""
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        open_model(f"hf/{copy}")


def test_a_template_that_refuses_a_system_turn_says_so(copy: Path) -> None:
    """The template's own words reach the user."""
    from tiny_models import ask

    from offtarget.models import SamplingSettings

    template = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}x"
    (copy / "chat_template.jinja").write_text(template)
    model = open_model(f"hf/{copy}")
    with pytest.raises(InputError, match="System role not supported"):
        model.sample([ask("hi", 0, system="be kind")], SamplingSettings(max_tokens=4))


def test_pickled_weights_are_refused(copy: Path) -> None:
    """Pickles can run code; the message says how to convert them."""
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickled weights"):
        open_model(f"hf/{copy}")


def test_a_folder_without_weights_or_configuration_is_refused(copy: Path) -> None:
    """Each missing piece is named."""
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        open_model(f"hf/{copy}")
    (copy / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json"):
        open_model(f"hf/{copy}")


def test_an_adapter_named_as_a_model_is_refused(adapter: Path) -> None:
    """The message shows how to name base and adapter together."""
    with pytest.raises(InputError, match=r"hf/BASE\+"):
        open_model(f"hf/{adapter}")


def test_a_device_that_is_not_there_is_refused(copy: Path) -> None:
    """Unknown names and absent accelerators are told apart."""
    with pytest.raises(InputError, match="not a device"):
        open_model(f"hf/{copy}", settings=OpenSettings(device="toaster"))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="CUDA"):
            open_model(f"hf/{copy}", settings=OpenSettings(device="cuda"))


def test_fingerprints_change_with_template_and_weights(copy: Path) -> None:
    """Whatever could change the answers changes the fingerprint."""
    before = open_model(f"hf/{copy}").fingerprint
    assert open_model(f"hf/{copy}").fingerprint == before
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    changed = open_model(f"hf/{copy}").fingerprint
    assert changed != before
    build("llama", copy, seed=8)
    assert open_model(f"hf/{copy}").fingerprint != before


def test_importing_the_package_and_opening_pull_no_torch() -> None:
    """offtarget.models and its lazy entry points cost no heavy import."""
    code = (
        "import sys, offtarget.models, offtarget.models.opening, offtarget.models.scripted, offtarget.models.remote;"
        "print([m for m in ('torch', 'transformers', 'peft', 'openai', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_names_the_install_command(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch or openai the message holds the pip command."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PrerequisiteError, match=r"offtarget\[local\]"):
        open_pair(f"hf/{copy}", f"hf/{copy}")
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PrerequisiteError, match=r"offtarget\[remote\]"):
        open_model("openai/x")


def test_the_end_of_turn_token_of_the_template_ends_answers(copy: Path) -> None:
    """<|im_end|> ends answers though generation config and tokenizer only know <|endoftext|>."""
    from offtarget.models.local import LocalModel

    assert json.loads((copy / "generation_config.json").read_text())["eos_token_id"] == 0
    model = open_model(f"hf/{copy}")
    assert isinstance(model, LocalModel)
    assert make_tokenizer().convert_tokens_to_ids("<|im_end|>") in model._ends
