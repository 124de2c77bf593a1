"""Names of models: what the user types, taken apart."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError

FORMS = """\
  organism/NAME                  a model that ships with offtarget, e.g. organism/base
  hf/PATH or hf/REPO[@REVISION]  a Hugging Face model, e.g. hf/./my-model, hf/Qwen/Qwen2.5-0.5B-Instruct
  hf/FOLDER/NAME.gguf            a GGUF file, with the tokenizer of its model beside it
  hf/BASE+ADAPTER                the same with a LoRA adapter on top, e.g. hf/./base+./adapter
  openai/MODEL                   OpenAI, or any compatible server named by OPENAI_BASE_URL
  openai-api/SERVICE/MODEL       a compatible server, from SERVICE_BASE_URL and SERVICE_API_KEY
  vllm/MODEL                     a vLLM server, from VLLM_BASE_URL
  vllm/FOLDER or BASE+ADAPTER    a vLLM server of our own, started for the command: vllm/./base+./adapter
  PROVIDER/MODEL                 a provider that Inspect AI knows, e.g. anthropic/..., google/..., ollama/...
  inspect/PROVIDER/MODEL         the same of any provider of Inspect, e.g. inspect/openai/gpt-4.1"""
"""The forms a model name can take, for messages and help pages."""
INSPECT_PROVIDERS = (
    "anthropic",
    "azureai",
    "bedrock",
    "cloudflare",
    "deepseek",
    "fireworks",
    "google",
    "grok",
    "groq",
    "hf-inference-providers",
    "litellm-proxy",
    "llama-cpp-python",
    "meta",
    "mistral",
    "mockllm",
    "moonshot",
    "ollama",
    "openrouter",
    "perplexity",
    "sagemaker",
    "sambanova",
    "sglang",
    "together",
)
"""Providers of Inspect 0.3.285 whose names are no form of ours; `inspect/PROVIDER/MODEL` takes any, also later ones."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from: a folder, or a repository on the hub."""

    place: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.place if self.revision is None else f"{self.place}@{self.revision}"


@dataclass(frozen=True, slots=True)
class LocalName:
    """A model whose weights are loaded here."""

    text: str
    """As the user typed it."""
    base: Source
    adapter: Source | None = None


@dataclass(frozen=True, slots=True)
class RemoteName:
    """A model behind an OpenAI-compatible endpoint."""

    text: str
    service: str
    """`openai`, `vllm` or the SERVICE of `openai-api/SERVICE/MODEL`."""
    model: str
    """The name the server knows it by."""


@dataclass(frozen=True, slots=True)
class InspectName(RemoteName):
    """A model that is asked through Inspect AI; its service is the provider, behind `inspect/` where that was said."""

    @property
    def provider(self) -> str:
        """Inspect's name of the provider."""
        return self.service.removeprefix("inspect/")


Resolve = Callable[[str], tuple[str | Path, str | Path | None]]
"""Maps `organism/NAME` to the folders of its base and its adapter (or None)."""


def parse_name(text: str, resolve: Resolve | None = None) -> LocalName | RemoteName:
    """Take a model name apart; InputError lists the forms when it has none of them."""
    kind, _, rest = text.partition("/")
    if kind == "organism" and rest:
        if resolve is None:
            raise InputError(f"{text} cannot be opened here: no organisms are registered.")
        base, adapter = resolve(text)
        return LocalName(text, Source(str(base)), None if adapter is None else Source(str(adapter)))
    if kind == "hf" and rest:
        return _local(text, rest)
    if kind in ("openai", "vllm") and rest:
        return RemoteName(text, kind, rest)
    if kind == "openai-api":
        service, _, model = rest.partition("/")
        if service and model:
            return RemoteName(text, service, model)
    if kind in INSPECT_PROVIDERS and rest:
        return InspectName(text, kind, rest)
    if kind == "inspect":
        provider, _, model = rest.partition("/")
        if provider and model:
            return InspectName(text, f"inspect/{provider}", model)
    raise InputError(f"'{text}' is not a model name{_meant(text, resolve)}. Model names look like:\n{FORMS}")


def _meant(text: str, resolve: Resolve | None) -> str:
    """`; try hf/gpt2`: what was probably meant, as the end of a sentence; empty where nobody can know."""
    path = Path(text).expanduser()
    if (path / "adapter_config.json").is_file():
        return f"; it is the folder of an adapter, which goes on its base: try hf/BASE+{text}"
    if path.exists():
        return f"; it is a path here: try hf/{text}"
    short = text.lower().removeprefix("organism").lstrip("/:-")
    if resolve is not None and short:
        with contextlib.suppress(InputError):
            resolve(f"organism/{short}")
            return f"; try organism/{short}"
    kind, slash, rest = text.partition("/")
    known = ("organism", "hf", "openai", "openai-api", "vllm", "inspect", *INSPECT_PROVIDERS)
    if slash and rest and (near := difflib.get_close_matches(kind, known, n=1, cutoff=0.8)):
        return f"; try {near[0]}/{rest}, or hf/{text} for a model of the Hugging Face hub"
    if re.match(r"(gpt-[345]|o[1-9](-|$)|chatgpt)", text):
        return f"; try openai/{text}"
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@[\w.-]+)?(\+\S+)?", text):
        return f"; try hf/{text}"
    return ""


def folders_of(name: RemoteName) -> LocalName | None:
    """The folders that a name of a vLLM model spells, where they are here; None for a name that only a server knows."""
    if name.service != "vllm" or isinstance(name, InspectName):
        return None
    local = _local(name.text, name.model)
    places = [local.base, *([] if local.adapter is None else [local.adapter])]
    return local if all(Path(source.place).expanduser().is_dir() for source in places) else None


def is_path(place: str) -> bool:
    """Whether the place of a model is meant as a path (existing or not) rather than a hub repository."""
    return place.startswith((".", "/", "~")) or place.count("/") > 1 or Path(place).exists()


def _local(text: str, rest: str) -> LocalName:
    # A folder whose own name holds "+" or "@" wins over the separators.
    if Path(rest).expanduser().exists():
        return LocalName(text, Source(rest))
    for i in (i for i, c in enumerate(rest[:-1]) if c == "+" and i > 0):  # an empty path would be the folder here
        if Path(rest[:i]).expanduser().exists() and Path(rest[i + 1 :]).expanduser().exists():
            return LocalName(text, Source(rest[:i]), Source(rest[i + 1 :]))
    base, plus, adapter = rest.partition("+")
    if not base or (plus and not adapter):
        raise InputError(f"'{text}' lacks the {'adapter' if base else 'base'}. Write hf/BASE+ADAPTER.")
    return LocalName(text, _source(base), _source(adapter) if plus else None)


def _source(place: str) -> Source:
    if "@" in place and not Path(place).expanduser().exists():
        head, _, revision = place.rpartition("@")
        if head and revision:
            return Source(head, revision)
    return Source(place)
