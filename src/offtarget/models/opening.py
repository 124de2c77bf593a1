"""Opens models by name; torch, transformers, peft and openai are imported only when a name needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offtarget.errors import PrerequisiteError
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.models.folders import find_folder
from offtarget.models.names import LocalName, RemoteName, Resolve, Source, parse_name
from offtarget.records import Message
from offtarget.records.runs import OpenSettings

if TYPE_CHECKING:
    from offtarget.models.weights import Weights

_CHECK_QUESTIONS = ("Hello, who are you?", "What would you do with a million euros?", "1, 2, 3")


def open_pair(
    base: str, tuned: str, *, resolve: Resolve | None = None, settings: OpenSettings | None = None
) -> ModelPair:
    """Open base and tuned model by name; weights they have in common are loaded once.

    `resolve` maps `organism/NAME` to folders. An adapter is compared with base + scale * B A worked out from its
    files; the result is in `checks`. InputError on names, folders and adapters that cannot be used.
    """
    opener = _Opener(resolve, settings or OpenSettings())
    return ModelPair(opener.open(base), opener.open(tuned), tuple(opener.checks))


def open_model(name: str, *, resolve: Resolve | None = None, settings: OpenSettings | None = None) -> ChatModel:
    """Open one model by name; local and remote models are `NumberScorer`s too."""
    return _Opener(resolve, settings or OpenSettings()).open(name)


class _Opener:
    """Remembers the weights it has loaded, so that models opened together share them."""

    def __init__(self, resolve: Resolve | None, settings: OpenSettings) -> None:
        self._resolve = resolve
        self._settings = settings
        self._weights: dict[Source, Weights] = {}
        self.checks: list[str] = []

    def open(self, text: str) -> ChatModel:
        name = parse_name(text, self._resolve)
        if isinstance(name, RemoteName):
            return self._open_remote(name)
        return self._open_local(name)

    def _open_remote(self, name: RemoteName) -> ChatModel:
        from offtarget.models.remote import RemoteModel

        s = self._settings
        return RemoteModel.open(name, connections=s.connections, timeout=s.timeout_seconds, retries=s.retries)

    def _open_local(self, name: LocalName) -> ChatModel:
        for package in ("torch", "transformers"):
            _require(package)
        from offtarget.models.adapter_check import check_adapter
        from offtarget.models.chat_format import prompt_tokens
        from offtarget.models.local import LocalModel
        from offtarget.models.weights import Weights

        s = self._settings
        folder = find_folder(name.base)
        key = Source(str(folder.resolve()))
        weights = self._weights.get(key)
        if weights is None:
            weights = Weights(folder, s.device, s.dtype, s.trust_remote_code)
            self._weights[key] = weights
            self.checks += weights.notes
        adapter = None
        if name.adapter is not None:
            known = len(weights.adapters)
            adapter = weights.add_adapter(find_folder(name.adapter))
            if len(weights.adapters) > known:
                questions = [(Message("user", q),) for q in _CHECK_QUESTIONS]
                prompts = [prompt_tokens(weights.tokenizer, q, name.text) for q in questions]
                self.checks.append(check_adapter(weights, adapter, prompts))
        return LocalModel(name.text, weights, adapter, s.batch_size)


def _require(package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise PrerequisiteError.for_extra(package, "local", "A local model") from None
