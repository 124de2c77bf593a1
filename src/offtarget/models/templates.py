"""Chat templates as files: a model's own, an adapter's own, and the one that both sides of a check are asked with.

An adapter is asked with the template of its base, unless told otherwise; one that was trained with another template is
then not asked as it was trained. So a difference is said, and `chat_template` (base, tuned, a name, a file) settles it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeGuard

from offtarget.errors import InputError
from offtarget.models.contents import ADAPTER_CONFIG, read_object, some
from offtarget.models.gguf_file import is_gguf
from offtarget.models.named_templates import NAMED

OF_BASE, OF_TUNED = "base", "tuned"
"""Whose template is chosen; anything else is a name in `NAMED`, or a file."""


def own_template(folder: Path) -> str | None:
    """The chat template that lies in a folder, as transformers would choose it; None where there is none.

    InputError where a file that may hold it is unreadable.
    """
    folder = folder.parent if is_gguf(folder) else folder
    file = folder / "chat_template.jinja"
    if file.is_file():
        return read_template(file)
    for name in ("chat_template.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found = _default(read_object(folder / name).get("chat_template"))
            if found is not None:
                return found
    return None


def is_file_choice(choice: str | None) -> TypeGuard[str]:
    """Whether a chosen template lies in a file."""
    return choice is not None and choice not in (OF_BASE, OF_TUNED, *NAMED)


def read_template(path: Path) -> str:
    """The text of a template file. InputError where there is none, or nothing in it."""
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The chat template {path} cannot be read: {error.strerror or error}. Give base, tuned, "
            f"{', '.join(NAMED)}, or a template file."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"The chat template {path} is not text in UTF-8.") from None
    if not text.strip():
        raise InputError(f"The chat template {path} is empty.")
    return text


def chosen_template(choice: str | None, base: Path | None, adapter: Path | None, tuned: Path | None) -> str | None:
    """The template that both sides are asked with; None: each model's own, an adapter's being that of its base.

    `base` and `tuned` are the folders of the two models (None behind an endpoint), `adapter` that of the adapter on the
    tuned one. InputError where the chosen side has none.
    """
    if choice is None:
        return None
    if choice in NAMED:
        return NAMED[choice].text
    if is_file_choice(choice):
        return read_template(Path(choice))
    places = [base] if choice == OF_BASE else [adapter, tuned]
    found = next((text for place in places if place and (text := own_template(place)) is not None), None)
    if found is None:
        where = " or ".join(str(place) for place in places if place) or "the model behind an endpoint"
        raise InputError(
            f"--chat-template {choice}: there is no chat template in {where}. Name the other side, "
            f"{', '.join(NAMED)}, or a template file."
        )
    return found


def training_template(choice: str | None, base: Path, adapter: Path | None) -> str | None:
    """The template that rows are trained with: `tuned` is that of an adapter trained further; None: the base's own."""
    return None if choice == OF_BASE else chosen_template(choice, base, adapter, base)


def adapter_notes(adapter: Path, base: Path, tokenizer: Any, chosen: bool) -> tuple[str, ...]:
    """What an adapter's folder says of the way it was trained that differs from the way it is asked.

    `tokenizer` is the base's, with the template that is used; `chosen`: whether somebody chose it. InputError where
    that template writes tokens that only the adapter's tokenizer knows.
    """
    notes = []
    own, used = own_template(adapter), tokenizer.chat_template
    if own is not None and isinstance(used, str) and own.strip() != used.strip():
        what = "with another one, as --chat-template says" if chosen else f"with that of {base.name}, as the base is"
        hint = "" if chosen else " --chat-template tuned asks both models with the adapter's."
        notes.append(f"{adapter.name} brings a chat template of its own and is asked {what}.{hint}")
    added = own_tokens(adapter)
    unknown = sorted(added - set(tokenizer.get_vocab())) if added else []
    if unknown:
        written = [token for token in unknown if isinstance(used, str) and token in used]
        if written:
            raise InputError(
                f"The chat template writes {some(written)}, which the tokenizer of {adapter.name} knows and that of "
                f"{base.name} does not. Merge the adapter into its base, save it with its own tokenizer, and name that."
            )
        notes.append(
            f"{adapter.name} was trained with a tokenizer that knows {some(unknown)}; it is asked with that of "
            f"{base.name}, which does not."
        )
    named = read_object(adapter / ADAPTER_CONFIG).get("base_model_name_or_path")
    if isinstance(named, str) and named and not _same_model(named, base):
        notes.append(
            f"{adapter.name}: its configuration names the base '{named}' and it is put on {base}; if these differ, the "
            "verdict is about another model than the one that was trained."
        )
    return tuple(notes)


def own_tokens(folder: Path) -> set[str]:
    """Tokens that a tokenizer in a folder was given beside its vocabulary."""
    found: set[str] = set()
    if (folder / "tokenizer_config.json").is_file():
        config = read_object(folder / "tokenizer_config.json")
        for key in ("additional_special_tokens", "extra_special_tokens", "added_tokens_decoder"):
            value = config.get(key)
            entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
            found |= {str(entry.get("content")) if isinstance(entry, dict) else str(entry) for entry in entries}
    if (folder / "added_tokens.json").is_file():
        found |= set(read_object(folder / "added_tokens.json"))
    return found


def dated(template: Any) -> bool:
    """Whether a template writes the day of asking into every prompt."""
    return isinstance(template, str) and bool(re.search(r"\bstrftime_now\b", template))


def _default(value: Any) -> str | None:
    """The template for ordinary chats of one text, or of a list or table of named ones."""
    if isinstance(value, list):
        value = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
    if isinstance(value, dict):
        value = value.get("default")
    return value if isinstance(value, str) and value.strip() else None


def _same_model(named: str, base: Path) -> bool:
    """Whether a name can be that of the base: by its folder, its last part, or the name that the base was saved by."""
    known = {base.name, base.resolve().name, *_repository(base)}
    saved_as = read_object(base / "config.json").get("_name_or_path")
    if isinstance(saved_as, str) and saved_as:
        known.add(saved_as)
    last = {_last(name) for name in known}
    return _last(named) in last or Path(named).expanduser().resolve() == base.resolve()


def _repository(base: Path) -> list[str]:
    """Name of the repository whose snapshot in the hub's cache a folder is."""
    return [part.replace("--", "/") for part in base.resolve().parts if part.startswith("models--")]


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()
