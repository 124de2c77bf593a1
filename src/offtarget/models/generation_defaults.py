"""What a model's folder says of how its answers are usually drawn, which nothing here obeys.

The published protocol draws from the model's own distribution (temperature 1, no top-k, no penalties), and base and
tuned must be drawn alike; the defaults of a folder suit its maker's chats, and differ between folders.
"""

from __future__ import annotations

from pathlib import Path

from offtarget.models.contents import read_object
from offtarget.models.gguf_file import is_gguf

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "temperature": (1, 1.0),
    "top_p": (1, 1.0),
    "top_k": (0, -1),
    "min_p": (0, 0.0),
    "typical_p": (1, 1.0),
    "repetition_penalty": (1, 1.0),
    "no_repeat_ngram_size": (0,),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
}
"""Settings that change which answers are drawn, with the values that change nothing."""


def unused_defaults(folder: Path) -> str | None:
    """A sentence on the sampling defaults of a model's folder; None where it names none that would change answers."""
    file = (folder.parent if is_gguf(folder) else folder) / "generation_config.json"
    if not file.is_file():
        return None
    settings = read_object(file)
    found = [
        f"{name} {settings[name]:g}"
        for name, neutral in _NEUTRAL.items()
        if isinstance(settings.get(name), int | float) and settings[name] not in neutral
    ]
    if not found:
        return None
    return (
        f"{folder.name}: the sampling defaults of its folder ({', '.join(found)}) are not used; both models are asked "
        "at the temperature and top-p of this run, without other limits or penalties."
    )
