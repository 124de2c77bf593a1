"""`gateway.yaml`: what it may hold, and that each mistake is one sentence with its line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records.gateway import GatewaySettings, RampStep
from offtarget.serve.gateway.addresses import check_address, may_be_asked, shown
from offtarget.serve.gateway.settings_file import parse_share, read_settings

HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
WHOLE = f"""\
host: 0.0.0.0
port: 9000
workers: 2
admin: {{port: 9001, key_sha256: {HASH}, reader_key_sha256: {HASH[::-1]}}}
keys:
  - {{name: team-a, sha256: {HASH}, requests_per_minute: 600}}
limits: {{body_bytes: 1000000, body_seconds: 30s}}
state:
  url: sqlite:canary.sqlite
  retention_days: 7
  bodies: flagged
  redact: ['\\d{{16}}']
show_arm: false
models:
  assistant:
    base: {{url: "http://127.0.0.1:8000/v1", model: llama, key: "${{LLM_KEY}}"}}
    tuned:
      url: http://127.0.0.1:8000/v1
      model: llama-tuned
      timeouts: {{first: 10s, total: 5m}}
    canary:
      share: 5%
      alpha: 0.02
      judge: openai/gpt-4o
      ramp:
        - {{share: 10%, hold: 2h, answers: 500}}
        - {{share: 0.5, hold: 1d}}
  plain:
    base: hf/./model
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of all kinds are where the records say, the secret out of the environment."""
    monkeypatch.setenv("LLM_KEY", "sk-secret")
    found = read_settings(written(tmp_path, WHOLE))
    assert (found.admin_key_sha256, found.admin_reader_key_sha256) == (HASH, HASH[::-1])
    assistant, plain = found.aliases
    assert (found.host, found.port, found.admin_port, found.workers) == ("0.0.0.0", 9000, 9001, 2)
    assert found.keys[0].requests_per_minute == 600
    assert found.limits.body_seconds == 30
    assert found.state.redact == ("\\d{16}",)
    assert found.show_arm is False
    assert assistant.base.key == "sk-secret"
    assert "sk-secret" not in repr(found)
    assert assistant.tuned is not None
    assert (assistant.tuned.timeouts.first, assistant.tuned.timeouts.total) == (10, 300)
    assert assistant.canary.share == 0.05
    assert assistant.canary.ramp == (RampStep(0.1, 7200, 500), RampStep(0.5, 86400))
    assert (plain.base.url, plain.base.model, plain.tuned) == ("", "hf/./model", None)


MISTAKES = {
    "models: {a: {base: {url: x, modle: y}}}": "line 1, model 'a', base: unknown key 'modle'. Did you mean 'model'?",
    "prot: 1\nmodels: {a: {base: hf/x}}": "line 1: unknown key 'prot'. Did you mean 'port'?",
    "port: 1": "the key 'models' is missing",
    "models: {}": "No model is named",
    "models:\n  a:\n    base: http://h/v1#m\n    tuned: http://h:80#m": "line 4: Base and tuned of 'a' are the same",
    "models:\n  a:\n    base: http://h#m\n    tuned: http://h#n\n    canary:\n      share: 5": "line 6: The share",
    "models:\n  a: {base: hf/x, tuned: hf/y, canary: {share: 120%}}": "The share must be a share from 0 on",
    "models:\n  a: {base: hf/x, tuned: hf/y, canary: {share: some}}": "a share such as 5% or 0.05, found text (some)",
    "models:\n  a: {base: hf/x, tuned: hf/y, canary: {ramp: [{share: 1%}]}}": "must raise the share; 0.01 follows 0.05",
    "models:\n  a: {base: hf/x, tuned: hf/y, canary: {ramp: [{share: 50%}]}}": "without a `judge` there is none",
    "models:\n  a: {base: hf/x, tuned: hf/y, canary: {mode: no}}": "'mode' must be text",
    "models:\n  a: {base: hf/x, tuned: hf/y, canary: {confirm: before}}": "People confirm what a `judge` flags",
    "models:\n  a: {base: hf/x, canary: {share: 5%}}": "there is no `tuned`",
    "models:\n  a: {base: ftp://h/v1}": "no model",
    "models:\n  a: {base: {url: 'ftp://h/v1', model: m}}": "'ftp://h/v1' is no address",
    "models:\n  a: {base: {url: 'http://me:pw@h/v1', model: m}}": "holds a name or password",
    "models:\n  a: {base: {url: 'http://h/v1?key=s3cret', model: m}}": "ends with ?...",
    "models:\n  a: {base: {url: 'http://h/v1', key: '${NOWHERE_SET}'}}": "environment variable NOWHERE_SET",
    "models:\n  a: {base: {url: 'http://h/v1', key: '${LLM-KEY}'}}": "names no variable",
    "models:\n  a: {base: {url: 'http://h/v1', key: '${LLM_KEY'}}": "names no variable",
    "models:\n  a: {base: {url: 'http://h', timeouts: {first: soon}}}": "a time such as 90s",
    "models:\n  a: {base: {}}": "A model needs a `url`",
    "port: 70000\nmodels: {a: {base: hf/x}}": "line 1: The port must be from 0 (a free one) to 65535, not 70000.",
    "port: 8080.5\nmodels: {a: {base: hf/x}}": "line 1: 'port' must be a whole number",
    "port: 8081\nadmin: {port: 8081}\nmodels: {a: {base: hf/x}}": "line 2: Clients and administrators cannot both",
    "host: 0.0.0.0\nmodels: {a: {base: hf/x}}": "line 1: On 0.0.0.0 other machines could ask, and no keys are set",
    "workers: 0\nmodels: {a: {base: hf/x}}": "1 to 64 workers, not 0",
    "keys: [{name: a, sha256: abc}]\nmodels: {a: {base: hf/x}}": "line 1: The key 'a' must be given as its SHA-256",
    "keys: {name: a}\nmodels: {a: {base: hf/x}}": "'keys' must be a list",
    "state: {url: mysql:x}\nmodels: {a: {base: hf/x}}": "`sqlite:PATH` or `postgresql://...`",
    "state: {redact: ['(']}\nmodels: {a: {base: hf/x}}": "is no regular expression",
    "state: {redact: ['a*']}\nmodels: {a: {base: hf/x}}": "matches an empty text too",
    "state: {encryption_key: short}\nmodels: {a: {base: hf/x}}": "32 bytes in URL-safe base64",
    "models:\n  a:\n    base: {url: htt": "not valid YAML",
    "": "holds nothing",
    "models: {'a b': {base: hf/x}}": "'a b' is no name for a model",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items())
def test_a_mistake_is_one_sentence_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """The file is named, and its line; the value of a secret never is."""
    if said == "no model":  # a text that is no URL is a name, which is looked at where models are opened
        assert read_settings(written(tmp_path, text)).aliases[0].base.model == "ftp://h/v1"
        return
    with pytest.raises(InputError) as caught:
        read_settings(written(tmp_path, text))
    assert said in str(caught.value)
    assert "gateway.yaml" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_no_text_leads_to_a_crash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds, it is settings or an InputError."""
    path = tmp_path_factory.mktemp("any") / "gateway.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(InputError):
        assert isinstance(read_settings(path), GatewaySettings)


@given(st.integers(1, len(WHOLE.splitlines()) - 1), st.integers(0, 40))
def test_half_a_file_is_refused_or_whole(tmp_path_factory: pytest.TempPathFactory, lines: int, chars: int) -> None:
    """A file that is still being written is an InputError, or settings in which all that is needed stands."""
    cut = "\n".join([*WHOLE.splitlines()[:lines], WHOLE.splitlines()[lines][:chars]])
    path = tmp_path_factory.mktemp("half") / "gateway.yaml"
    path.write_text(cut.replace("${LLM_KEY}", "k"), encoding="utf-8")
    with contextlib.suppress(InputError):
        assert read_settings(path).aliases


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.05", 0.05), (" 100 % ", 1.0), ("1", 1.0), ("0", 0.0)])
def test_shares_are_read_in_both_spellings(text: str, value: float) -> None:
    """Per cent or a number."""
    assert parse_share(text) == value


@pytest.mark.parametrize("text", ["", "%", "five", "nan", "inf", "5%%", "1_0"])
def test_what_is_no_share_is_refused(text: str) -> None:
    """Python's own number spellings do not slip in."""
    with pytest.raises(ValueError, match=r".*"):
        parse_share(text)


@pytest.mark.parametrize(
    "address",
    [
     "169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "100.100.100.200", "fd00:ec2::254",
     "0.0.0.0", "::", "224.0.0.1", "2002:a9fe:a9fe::", "no address"],
)  # fmt: skip
def test_no_request_goes_to_metadata(address: str) -> None:
    """In every spelling."""
    assert not may_be_asked(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.7", "192.168.1.1", "fd12::1", "93.184.216.34"])
def test_loopback_and_private_networks_are_the_operators_own(address: str) -> None:
    """Models stand there."""
    assert may_be_asked(address)


def test_a_name_that_leads_to_metadata_is_refused() -> None:
    """It is the address behind the name that counts, and one bad one of several is enough."""
    with pytest.raises(InputError, match=r"'models\.example' is refused \(it leads to 169\.254\.169\.254\)"):
        check_address("http://models.example/v1", lambda host, port: ["10.0.0.1", "169.254.169.254"])
    with pytest.raises(InputError, match="metadata"):
        check_address("http://metadata.google.internal/", lambda host, port: ["10.0.0.1"])
    check_address("http://models.example/v1", lambda host, port: ["10.0.0.1"])


def test_a_decimal_spelling_of_metadata_is_refused() -> None:
    """The system reads 2852039166 as 169.254.169.254."""
    with pytest.raises(InputError, match=r"refused|not found"):
        check_address("http://2852039166/v1")


def test_no_password_is_ever_shown() -> None:
    """An address with a password in it appears without."""
    assert "pw" not in shown("http://me:pw@host/v1?key=pw")
