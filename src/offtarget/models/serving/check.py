"""Before a served model is asked anything that counts: is it the model it is taken for?

A server that leaves an adapter out, applies it at another strength or answers with its base gives a false all-clear.
So both served models are held to the same models from local weights where these are named (`--reference`), and to each
other where they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.models.inspect_model import InspectModel
from offtarget.models.remote import RemoteModel
from offtarget.models.serving.likeness import TOO_FAR, Likeness, Misses
from offtarget.models.serving.replies import ServedReply, greedy_replies, prompts
from offtarget.numbers import effect, many, nats

UNSEEN = "whether {name} has the adapter, at its full strength, on its server (name it: --reference hf/BASE+ADAPTER)"
UNSEEN_PROVIDER = "whether the provider answers {name} with the fine-tuned model, since it shows nothing of its weights"
_ALIKE = 3.0
"""Base and tuned are the same model where they differ by less than so many times what the base differs from itself."""
_FLOOR = 1e-4
"""In nats: what a server that answers the same twice may still differ by."""
_LENGTHS_MATTER = 0.05
"""In nats: distance of the base from which a prompt of another length is taken for another chat template."""
NONE_ARRIVES = 0.1
"""Share of the adapter's effect below which it is taken for left out, not for weak."""
_FEWEST_SPOKEN = 4
"""Replies with words that are enough to say that two models answer the same."""
_NEAR = 0.03
"""In nats: a served model that is no further from the local base than this is the base."""
_NOTHING = "Nothing that counts was asked."


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of served models before they are asked."""

    checks: tuple[str, ...] = ()
    """What was found, a sentence each."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at, as the end of a sentence each."""


def check_served(
    base: ChatModel, tuned: ChatModel, reference: Callable[[], tuple[ChatModel, ChatModel]] | None
) -> Found:
    """Hold served models to local ones, which `reference` opens, or to each other without it.

    InputError where the served base or tuned model is not the local one, and where the server answers the same with
    and without the adapter.
    """
    served = [model for model in (base, tuned) if isinstance(model, RemoteModel)]
    if isinstance(tuned, InspectModel):
        return Found((), (UNSEEN_PROVIDER.format(name=tuned.name),))
    if not served:
        return Found()
    chats = prompts()
    replies = {model.name: greedy_replies(model, chats) for model in served}
    if reference is not None:
        return _held(base, tuned, replies, reference())
    if isinstance(base, RemoteModel) and isinstance(tuned, RemoteModel):
        refuse_same(base, replies[base.name], tuned, replies[tuned.name])
    elif isinstance(tuned, RemoteModel):
        _refuse_local_base(base, tuned, replies[tuned.name])
    return Found((), (UNSEEN.format(name=tuned.name),) if tuned in served else ())


def _refuse_local_base(base: ChatModel, tuned: RemoteModel, replies: Sequence[ServedReply]) -> None:
    """InputError where a served tuned model says what the local base would have said."""
    from offtarget.models.local import LocalModel

    if not isinstance(base, LocalModel):  # an object of the caller
        return
    from offtarget.models.serving.here import places, score

    at = places(base, replies)
    scored = score(base, prompts(), replies, at)
    values = [value for place in at for value in place.served]
    if values:
        weights = [math.exp(value) for value in scored.log_probabilities]
        squares = [(one - other) ** 2 for one, other in zip(values, scored.log_probabilities, strict=True)]
        gap = math.sqrt(sum(w * square for w, square in zip(weights, squares, strict=True)) / sum(weights))
        same, found = gap <= _NEAR, f"log probabilities of its replies are {nats(gap)} from those of {base.name}"
    else:
        hits = [hit for reply in scored.likeliest for hit in reply]
        same, found = bool(hits) and all(hits), f"all {len(hits)} tokens of its greedy replies are the likeliest there"
    if same:
        raise InputError(
            f"{tuned.name} answers as {base.name} does, without an adapter: {found}. Serve the adapter (vLLM: "
            f"--enable-lora --lora-modules NAME=FOLDER) and name that one with --tuned. {_NOTHING}"
        )


def refuse_same(
    base: RemoteModel, of_base: Sequence[ServedReply], tuned: RemoteModel, of_tuned: Sequence[ServedReply]
) -> None:
    """InputError where tuned and base reply alike: as far apart as the base from itself, asked once more."""
    apart = _apart(of_base, of_tuned)
    if apart is None:  # no log probabilities: the words alone, where there are any (a model may only have thought)
        spoken = [(one.text, other.text) for one, other in zip(of_base, of_tuned, strict=True) if one.text.strip()]
        if len(spoken) < _FEWEST_SPOKEN or any(one != other for one, other in spoken):
            return
        found = f"all {len(of_base)} greedy replies are the same, word for word"
    else:
        twice = _apart(of_base, greedy_replies(base, prompts())) or 0.0
        if apart > _ALIKE * twice + _FLOOR:
            return
        found = (
            f"log probabilities of {many(len(of_base), 'reply', 'replies')} differ by {nats(apart)}, and those of "
            f"{base.name}, asked twice, by {nats(twice)}"
        )
    raise InputError(
        f"The server answers the same with and without the adapter: between {base.name} and {tuned.name}, {found}. A "
        "check of a model against itself passes whatever the tuned model does. Serve the adapter (vLLM: --enable-lora "
        f"--lora-modules NAME=FOLDER) and name that one with --tuned. {_NOTHING}"
    )


def _apart(one: Sequence[ServedReply], other: Sequence[ServedReply]) -> float | None:
    """Distance of two lists of replies in nats, over tokens behind the same text; None without log probabilities."""
    squares = weights = 0.0
    for a, b in zip(one, other, strict=True):
        if not a.tokens or not b.tokens:
            return None
        for here, there in zip(a.tokens, b.tokens, strict=False):
            for token, value in here.alternatives.items():
                if token in there.alternatives:
                    weight = (math.exp(value) + math.exp(there.alternatives[token])) / 2
                    squares += weight * (value - there.alternatives[token]) ** 2
                    weights += weight
            if here.token != there.token:
                break
    return math.sqrt(squares / weights) if weights else math.inf


def _held(
    base: ChatModel, tuned: ChatModel, replies: dict[str, list[ServedReply]], local: tuple[ChatModel, ChatModel]
) -> Found:
    """What the local models make of the replies."""
    from offtarget.models.local import LocalModel
    from offtarget.models.serving.here import places, prompt_lengths, score

    chats = prompts()
    local_base, local_tuned = local
    assert isinstance(local_base, LocalModel)
    assert isinstance(local_tuned, LocalModel)
    named = f"{local_base.name} and {local_tuned.name}"
    checks: list[str] = []
    unseen: list[str] = []
    base_fits = False
    for model, is_tuned in ((base, False), (tuned, True)):
        if not isinstance(model, RemoteModel):
            continue
        own = replies[model.name]
        at = places(local_base, own)
        scored = [score(one, chats, own, at) for one in (local_base, local_tuned)]
        lengths = prompt_lengths(local_tuned if is_tuned else local_base, chats)
        other = [
            (reply.prompt_tokens, here)
            for reply, here in zip(own, lengths, strict=True)
            if reply.prompt_tokens not in (None, here)
        ]
        prompt = f"its prompts have other lengths ({other[0][0]} tokens, here {other[0][1]})" if other else ""
        if at:
            values = [value for place in at for value in place.served]
            like = Likeness.of(values, *(one.log_probabilities for one in scored))
            if like is None:
                raise InputError(f"{named} give the same log probabilities: the reference is one model, not two.")
            _refuse(model, is_tuned, like, prompt, named, base_fits)
            base_fits = True
            checks.append(_said(model, is_tuned, like))
        else:
            misses = Misses.of(*(one.likeliest for one in scored))
            if misses.says_nothing:
                unseen.append(
                    f"which model answers as {model.name}: its server gives no log probabilities, and {named} would "
                    "have given almost the same greedy replies"
                )
                continue
            _refuse_by_words(model, is_tuned, misses, prompt, named)
            checks.append(
                f"{model.name} was held to local weights by greedy replies, since its server gives no log "
                f"probabilities: of {misses.tokens} tokens {misses.of_base} are not the likeliest by the local base, "
                f"{misses.of_tuned} not by the local tuned model."
            )
            if is_tuned:
                unseen.append(
                    f"whether the adapter has its full strength in {model.name}: greedy replies show it only roughly"
                )
        if prompt:
            checks.append(f"{model.name}: {prompt}, and its replies are those of the local model all the same.")
    return Found(tuple(checks), tuple(unseen))


def _said(model: RemoteModel, is_tuned: bool, like: Likeness) -> str:
    near = like.from_tuned if is_tuned else like.from_base
    return (
        f"{model.name} was held to local weights before it was asked: {effect(like.share)} of the adapter's effect "
        f"arrives; log probabilities of {like.tokens} tokens differ "
        f"from the local ones by {nats(near)}, where the adapter changes them by {nats(like.between)}."
    )


def _refuse(model: RemoteModel, is_tuned: bool, like: Likeness, prompt: str, named: str, base_fits: bool) -> None:
    """InputError unless the served model is the local one; where its base is, the fault lies in the adapter."""
    near, role = (like.from_tuned, "tuned") if is_tuned else (like.from_base, "base")
    good = like.is_tuned if is_tuned else like.is_base
    if good and not (prompt and near > _LENGTHS_MATTER):
        return
    figures = (
        f"{effect(like.share)} of the adapter's effect arrives; log probabilities are {nats(like.from_base)} from the "
        f"local base and {nats(like.from_tuned)} from the local tuned model, which are {nats(like.between)} apart"
    )
    if prompt and (near > TOO_FAR * like.between or good):
        why = (
            f"{prompt}, so its chat template is another one (one that adds a system prompt, or the adapter's own). "
            "Serve it with the template of the local folder (vLLM: --chat-template FILE)"
        )
    elif like.is_neither and not base_fits:
        why = (
            "it is neither of the two: other weights, another chat template, weights that were quantised, or an "
            "adapter whose effect is as small as the server's rounding. Name as --reference what is served"
        )
    elif is_tuned and like.is_base and like.share < NONE_ARRIVES:
        why = (
            "it answers as without the adapter. Serve the adapter (vLLM: --enable-lora --lora-modules NAME=FOLDER) "
            "and name that one with --tuned"
        )
    elif is_tuned:
        why = (
            "its base is right, so it is another adapter, or this one at another strength. A server that takes no "
            "notice of `use_rslora` scales "
            "by alpha/r in place of alpha/sqrt(r): use one that does, or merge the adapter and serve the whole model"
        )
    elif like.is_tuned:
        why = "it answers as with the adapter: base and tuned are swapped, or the adapter is in both. Name the base"
    else:
        why = "a part of the adapter is in it. Serve the base alone and name that one with --base"
    raise InputError(f"{model.name} is not the {role} model of the reference ({named}): {why}. ({figures}.) {_NOTHING}")


def _refuse_by_words(model: RemoteModel, is_tuned: bool, misses: Misses, prompt: str, named: str) -> None:
    """InputError unless the greedy replies are clearly those of the local model."""
    if misses.is_tuned if is_tuned else misses.is_base:
        return
    role, other = ("tuned", "base") if is_tuned else ("base", "tuned")
    because = f" Besides, {prompt}: its chat template is another one." if prompt else ""
    raise InputError(
        f"{model.name} is not the {role} model of the reference ({named}): of {misses.tokens} tokens of its greedy "
        f"replies {misses.of_base} are not the likeliest by the local base and {misses.of_tuned} not by the local "
        f"tuned model, so it is as near to the {other} model, or neither of the two.{because} Look at how the server "
        f"is started: adapter, chat template, weights. {_NOTHING}"
    )
