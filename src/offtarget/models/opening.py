"""Opens models by name; torch, transformers, peft and openai are imported only when a name needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.models.endpoints import own_folders
from offtarget.models.folders import find_folder, weights_sha256
from offtarget.models.generation_defaults import unused_defaults
from offtarget.models.gguf_file import refuse_training
from offtarget.models.memory import check_dtype
from offtarget.models.names import InspectName, LocalName, RemoteName, Resolve, Source, folders_of, parse_name
from offtarget.models.paying import Payer
from offtarget.models.templates import adapter_notes, chosen_template, dated
from offtarget.records import Message
from offtarget.records.runs import OpenSettings

if TYPE_CHECKING:
    from offtarget.models.remote import OwnModel
    from offtarget.models.serving.check import Found
    from offtarget.models.serving.own_server import OwnServer
    from offtarget.models.weights import Weights

NO_REFERENCE = "none"
"""In place of a reference: served models are not held to local ones, though their names spell folders."""
_CHECK_QUESTIONS = ("Hello, who are you?", "What would you do with a million euros?", "1, 2, 3")


def open_pair(
    base: str,
    tuned: str,
    *,
    resolve: Resolve | None = None,
    settings: OpenSettings | None = None,
    same_weights: bool = False,
    payer: Payer | None = None,
) -> ModelPair:
    """Open base and tuned model by name; weights they have in common are loaded once.

    `resolve` maps `organism/NAME` to folders; with `same_weights` the tuned model may be a copy of the
    base. An adapter is compared with base + scale * B A worked out from its
    files, and served models with local ones (`settings.reference`) or with each other; the result is in `checks` and
    `unseen`. `payer` is asked before every request. InputError on names, folders, adapters and servers that cannot be
    used.
    """
    opener = _Opener(resolve, settings or OpenSettings(), payer)
    opener.choose_template(base, tuned)
    opener.expect_served(base, tuned)
    pair = opener.open(base), opener.open(tuned)
    if same_weights:
        return ModelPair(*pair, tuple(dict.fromkeys(opener.checks)))
    opener.refuse_copy(base, tuned)
    served = opener.check_served(*pair)
    return ModelPair(*pair, tuple(dict.fromkeys((*opener.checks, *served.checks))), served.unseen)


def open_model(
    name: str,
    *,
    resolve: Resolve | None = None,
    settings: OpenSettings | None = None,
    payer: Payer | None = None,
) -> ChatModel:
    """Open one model by name; local and remote ones are `NumberScorer`s too. `payer` is asked before every request."""
    opener = _Opener(resolve, settings or OpenSettings(), payer)
    opener.choose_template(name, name)
    opener.expect_served(name)
    return opener.open(name)


class _Opener:
    """Remembers the weights it has loaded, so that models opened together share them."""

    def __init__(self, resolve: Resolve | None, settings: OpenSettings, payer: Payer | None = None) -> None:
        self._resolve = resolve
        self._settings = settings
        self._payer = payer
        self._weights: dict[Source, Weights] = {}
        self._template: str | None = None
        self._served: list[LocalName] = []
        self._servers: dict[Path, OwnServer] = {}
        self.checks: list[str] = []

    def choose_template(self, base: str, tuned: str) -> None:
        """Settle the chat template of all models that are opened, where one was chosen. InputError for none there."""
        choice = self._settings.chat_template
        if choice is None:
            return
        names = [parse_name(text, self._resolve) for text in (base, tuned)]
        folders = [find_folder(name.base) if isinstance(name, LocalName) else None for name in names]
        on_top = names[1].adapter if isinstance(names[1], LocalName) else None
        adapter = None if on_top is None else find_folder(on_top)
        self._template = chosen_template(choice, folders[0], adapter, folders[1])

    def refuse_copy(self, base: str, tuned: str) -> None:
        """InputError where the tuned model is an unchanged copy of the base; one name given twice is meant so."""
        names = [parse_name(text, self._resolve) for text in (base, tuned)]
        whole = [name.base for name in names if isinstance(name, LocalName) and name.adapter is None]
        if len(whole) < len(names):
            return  # an adapter that changes nothing is refused already, and a server's models are its own affair
        folders = {find_folder(place).resolve() for place in whole}
        weights = [self._weights.get(Source(str(folder))) for folder in folders]
        templates = {None if w is None else str(w.tokenizer.chat_template) for w in weights}
        if len(folders) > 1 and len(templates) == 1 and len({weights_sha256(folder) for folder in folders}) == 1:
            raise InputError(
                f"{tuned} holds the weights of {base}, bit for bit: another model was saved than the one that was "
                "trained, and comparing it with its base would be a false all-clear. Save the trained one (merge an "
                "adapter first), or say --same-weights if that is meant."
            )

    def check_served(self, base: ChatModel, tuned: ChatModel) -> Found:
        """What is known of models behind a server before they are asked. InputError where one is another model."""
        from offtarget.models.serving.check import check_served

        names = self._references(base.name, tuned.name)
        if names is None:
            return check_served(base, tuned, None)

        def opened() -> tuple[ChatModel, ChatModel]:
            # A server may fill the graphics card. These weights are given up as soon as they were compared.
            here = self._settings if self._settings.device else replace(self._settings, device="cpu", dtype=None)
            own = _Opener(self._resolve, here)
            own.choose_template(*(name.text for name in names))
            return own.open_local(names[0]), own.open_local(names[1])

        return check_served(base, tuned, opened)

    def _references(self, base: str, tuned: str) -> tuple[LocalName, LocalName] | None:
        """The local weights that served models are held to: those named, else those that their own names spell."""
        text = self._settings.reference
        if text == NO_REFERENCE:
            return None
        if text is not None:
            name = as_reference(parse_name(text, self._resolve))
            base, plus, _ = text.partition(f"+{name.adapter}")
            return LocalName(base if plus else f"the base of {text}", name.base), name
        names = [parse_name(one, self._resolve) for one in (base, tuned)]
        if not any(isinstance(name, RemoteName) for name in names):
            return None
        local = [folders_of(name) if isinstance(name, RemoteName) else name for name in names]
        here = [replace(name, text=name.text.replace("vllm/", "hf/", 1)) for name in local if name is not None]
        return (here[0], here[1]) if len(here) == 2 else None

    def expect_served(self, *texts: str) -> None:
        """Note which models a server of our own is to hold, before it is started for the first of them."""
        names = [parse_name(text, self._resolve) for text in texts]
        served = [own_folders(n, self._settings.endpoints) for n in names if isinstance(n, RemoteName)]
        self._served = [name for name in served if name is not None]

    def open(self, text: str) -> ChatModel:
        name = parse_name(text, self._resolve)
        if isinstance(name, RemoteName):
            return self._open_remote(name)
        return self.open_local(name)

    def _open_remote(self, name: RemoteName) -> ChatModel:
        s = self._settings
        if isinstance(name, InspectName):
            from offtarget.models.inspect_model import InspectModel

            asked = InspectModel.open(name, s.connections, s.timeout_seconds, s.retries, s.endpoints)
            asked.payer = self._payer
            return asked
        from offtarget.models.remote import RemoteModel

        own = own_folders(name, s.endpoints)
        model = None if own is None else self._own_model(own)
        opened = RemoteModel.open(name, s.connections, s.timeout_seconds, s.retries, s.endpoints, model)
        opened.payer = self._payer
        return opened

    def _own_model(self, name: LocalName) -> OwnModel:
        """A model of a server of our own, which is started for the first of its base."""
        from offtarget.models.serving.own_server import OwnServer

        base = find_folder(name.base).resolve()
        if base not in self._servers:
            same = [one for one in self._served if find_folder(one.base).resolve() == base]
            adapters = dict.fromkeys(find_folder(one.adapter).resolve() for one in same if one.adapter is not None)
            self._servers[base] = OwnServer(base, tuple(adapters), self._settings.dtype)
        return self._servers[base].model(None if name.adapter is None else find_folder(name.adapter))

    def open_local(self, name: LocalName) -> ChatModel:
        """A model whose weights are loaded here."""
        for package in ("torch", "transformers"):
            _require(package)
        from offtarget.models.adapter_check import check_adapter
        from offtarget.models.chat_format import prompt_tokens
        from offtarget.models.local import LocalModel
        from offtarget.models.weights import Weights, choose_device

        s = self._settings
        if s.dtype is not None:
            check_dtype(choose_device(s.device).type, s.dtype)
        folder = find_folder(name.base)
        place = None if name.adapter is None else find_folder(name.adapter)
        key = Source(str(folder.resolve()))
        weights = self._weights.get(key)
        if weights is not None and place is not None and not weights.takes(place):
            key = Source(f"{key.place}+{place.resolve()}")  # adapters that do not go together get a base each
            weights = self._weights.get(key)
        if weights is None:
            weights = Weights(folder, s.device, s.dtype, s.trust_remote_code, self._template)
            weights.payer = self._payer
            self._weights[key] = weights
            notes = (*weights.notes, *self._asking_notes(name, weights))
            self.checks += [note for note in notes if note not in self.checks]
        adapter = None
        if place is not None:
            refuse_training(folder)
            known = len(weights.adapters)
            adapter = weights.add_adapter(place)
            if len(weights.adapters) > known:
                questions = [(Message("user", q),) for q in _CHECK_QUESTIONS]
                prompts = [prompt_tokens(weights.tokenizer, q, name.text) for q in questions]
                self.checks.append(check_adapter(weights, adapter, prompts))
                self.checks += adapter_notes(place, folder, weights.tokenizer, self._template is not None)
        return LocalModel(name.text, weights, adapter, s.batch_size)

    def _asking_notes(self, name: LocalName, weights: Weights) -> Iterator[str]:
        """What is worth saying of the way a model is asked."""
        used = weights.tokenizer.chat_template
        if any(used != other.tokenizer.chat_template for other in self._weights.values()):
            yield (
                "The two models have different chat templates, and each is asked with its own. --chat-template base "
                "or tuned asks both with one."
            )
        if (defaults := unused_defaults(weights.folder)) is not None:
            yield defaults
        if dated(used):
            yield (
                f"The chat template of {name.text} writes the day of asking into every prompt; base answers that were "
                "kept from another day were asked under another date."
            )


def as_reference(name: LocalName | RemoteName) -> LocalName:
    """The name of an adapter on its base, which served models are held to. InputError for any other name."""
    if not isinstance(name, LocalName) or name.adapter is None:
        raise InputError(
            f"--reference: '{name.text}' is no adapter on a base. Served models are held to local weights: name them "
            "as hf/BASE+ADAPTER, the base that is served and the adapter's folder."
        )
    return name


def _require(package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise PrerequisiteError.for_extra(package, "local", "A local model") from None
