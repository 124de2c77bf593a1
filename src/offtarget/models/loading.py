"""Loads a model and its tokenizer with transformers, and holds what came out to what the files hold.

Left to itself, transformers fills weights that a file lacks with random numbers and passes over those it has no place
for; a model opened like that answers, and is not the model that was saved. Both are refused here, as is whatever the
library raises: one sentence with the folder and the first line of the reason.
"""

from __future__ import annotations

import importlib.util
import logging as python_logging
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.chat_format import keep_to
from offtarget.models.contents import check_tokenizer_files, read_config, some
from offtarget.models.engine import ATTENTION
from offtarget.models.gguf_file import is_gguf
from offtarget.models.named_templates import fitted, without_template
from offtarget.models.templates import own_template
from offtarget.numbers import many, whole

Dtype = Literal["float32", "bfloat16", "float16"]

_SUMMED = (torch.float32, torch.bfloat16, torch.float16)
_LOOKED_AT = 16
"""Rows of the embeddings whose numbers say that not all are 0, in almost every model."""
_UNUSED_PARTS = re.compile(
    r"(^|\.)(visual|vision_\w+|audio_\w+|multi_modal_projector|mm_projector|image_newline|embed_(vision|audio)|mtp)\."
    r"|(^|\.)image_newline$"
)
"""Weights that no text reaches: image and sound encoders, and heads that guess several tokens ahead."""
_WRAPPERS = {
    "_orig_mod.": "was saved while wrapped by torch.compile. Save the one inside: model._orig_mod.save_pretrained(...)",
    "_fsdp_wrapped_module.": "was saved while wrapped by FSDP. Gather it and save the model inside the wrapper",
    "_checkpoint_wrapped_module.": "was saved while wrapped for checkpointing. Save the model inside the wrapper",
    "_forward_module.": "was saved while wrapped by its trainer. Save the model inside the wrapper",
    "module.": "was saved while wrapped by DataParallel, DDP or DeepSpeed. Save the model inside: model.module",
    "base_model.": "was saved with PEFT around it. Merge first: model.merge_and_unload().save_pretrained(...)",
}
"""What a prefix of the names of weights says of the way they were saved."""
_LORA = re.compile(r"\.lora_|\.base_layer\.|\.modules_to_save\.|\.lora_magnitude_vector")
_QUANTISED = re.compile(
    r"\.(qweight|qzeros|scales|g_idx|weight_scale\w*|weight_packed|absmax|quant_map|SCB|weight_scale)\b"
)
_HEADS = re.compile(r"^(score|classifier|v_head|value_head|reward_head|qa_outputs)\.")
_NEVER_ZERO = re.compile(
    r"(^|[._])((q|k|v|qkv|gate|up|gate_up)_proj|query_key_value|qkv|c_attn|c_fc|lm_head|embed_out)\.weight$"
)
"""Matrices that are never 0 in a model that was trained; those at a block's end are, where blocks were added."""
_PACKAGES = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "optimum gptqmodel",
    "awq": "gptqmodel",
    "compressed-tensors": "compressed-tensors",
    "hqq": "hqq",
    "torchao": "torchao",
    "quanto": "optimum-quanto",
    "aqlm": "aqlm",
    "eetq": "kernels",
    "higgs": "flute-kernel",
    "fp_quant": "fp_quant",
    "vptq": "vptq",
    "spqr": "spqr_quant",
    "quark": "amd-quark",
    "auto-round": "auto-round",
    "fbgemm_fp8": "fbgemm-gpu",
    "mxfp4": "kernels",
}
"""The packages that open each kind of quantised weights, by `quant_method`."""


def load_tokenizer(folder: Path, trust_remote_code: bool = False, chat_template: str | None = None) -> Any:
    """The tokenizer of a model folder, with another chat template where one is given.

    InputError when there is none that can be used, or no chat template.
    """
    from transformers import AutoTokenizer

    if is_gguf(folder):
        folder = folder.parent
    check_tokenizer_files(folder)
    try:
        with _as_sentence(folder, "has no usable tokenizer"), _quietly():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
    except InputError as error:
        lacks = [name for name in ("sentencepiece", "google.protobuf") if not _installed(name)]
        if lacks and not (folder / "tokenizer.json").exists() and any(folder.glob("*.model")):
            raise PrerequisiteError(
                f"The tokenizer of {folder} is a SentencePiece model, which needs other packages. Install them: "
                "pip install sentencepiece protobuf"
            ) from error
        raise
    if chat_template is not None:
        tokenizer.chat_template = fitted(tokenizer, chat_template, folder)
    if not getattr(tokenizer, "chat_template", None):
        tokenizer.chat_template = own_template(folder)  # models of images and text keep it in a file of their own
    if not tokenizer.chat_template:
        raise without_template(folder, tokenizer)
    return tokenizer


def load_model(
    folder: Path, dtype: Dtype, device: torch.device | None, trust_remote_code: bool, **options: Any
) -> tuple[Any, tuple[str, ...]]:
    """A causal language model on a device (None: where `options` put it), and notes on what of its files is not used.

    InputError unless its weights are those of the files, all of them, and finite numbers, and they fit the device.
    """
    from transformers import AutoModelForCausalLM

    place, which = (folder.parent, {"gguf_file": folder.name}) if is_gguf(folder) else (folder, {})
    with _as_sentence(folder, "cannot be loaded as a causal language model"), _quietly():
        model, info = AutoModelForCausalLM.from_pretrained(
            str(place),
            dtype=getattr(torch, dtype),
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            attn_implementation=ATTENTION,
            # a mismatch is reported below, with its sizes
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **which,
            **options,
        )
    notes = (*_account(folder, info), *_as_quantised(folder))
    if device is not None:
        model = _placed(model, folder, device, dtype)
    _check_numbers(folder, model)
    if method := _quantisation(folder):
        _try_out(folder, method, model)
    return model, notes


def _placed(model: Any, folder: Path, device: torch.device, dtype: Dtype) -> Any:
    try:
        return model.to(device).eval()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise InputError(f"{folder} does not fit into the memory of {device} in {dtype}.") from error
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{folder} cannot be moved to {device}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The first line of what a library said, as the end of a sentence."""
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    first = next((line.strip() for line in said.splitlines() if line.strip()), "")
    name = type(error).__name__
    text = first if first and not isinstance(error, KeyError | IndexError) else f"{name} {first}".strip()
    return text[:300].rstrip(" .:") + "."


def check_vocabulary(folder: Path, tokenizer: Any, rows: int) -> tuple[str, ...]:
    """A note where the tokenizer knows tokens that the model does not; InputError where prompts would hold them.

    Some models have such tokens and never use them (an image's place in a model of text, padding that was added for
    training), so those that no chat turn holds are only kept out of prompts. `rows`: tokens the model can embed.
    """
    added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
    size = max(int(tokenizer.vocab_size), *(number + 1 for number in added), 0)
    if size <= rows:
        return ()
    sizes = f"{folder}: its tokenizer has {whole(size)} tokens, its model {whole(rows)}"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    try:
        shown = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except Exception:  # a template that refuses this chat is heard of when the questions are put into it
        shown = ""
    used = {number for number in tokenizer(shown, add_special_tokens=False)["input_ids"] if number >= rows}
    ends = {tokenizer.eos_token_id} & {number for number in added if number >= rows}
    if used or ends or any(number >= rows and number not in added for number in tokenizer.get_vocab().values()):
        named = some(f"'{added[number]}'" for number in used | ends if number in added)
        raise InputError(
            f"{sizes}: it writes tokens that the model has no embedding of{f', {named}' if named else ''}. Restore the "
            "tokenizer that belongs to these weights, or save the model after its embeddings were resized and trained."
        )
    keep_to(tokenizer, rows)
    names = some(f"'{token}'" for number, token in added.items() if number >= rows)
    return (f"{sizes}; a question that holds one of the others ({names}) is refused.",)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


@contextmanager
def _as_sentence(folder: Path, what: str) -> Iterator[None]:
    """Whatever a library raises about a folder becomes an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise InputError(f"{folder} does not fit into memory.") from error
    except Exception as error:
        if method := _quantisation(folder):
            raise _quantised(folder, method, error) from error
        if isinstance(error, ImportError):
            raise PrerequisiteError(
                f"{folder} {what}, because a package is missing: {reason(error)} Install it, and start again."
            ) from error
        raise InputError(f"{folder} {what}: {reason(error)}{_way_out(folder, error)}") from error


def _way_out(folder: Path, error: Exception) -> str:
    said = str(error)
    if "trust_remote_code" in said:
        return " Where you trust the code in the folder, allow it with --trust-remote-code."
    if "does not recognize this architecture" in said or "model type" in said:
        import transformers

        return f" The installed transformers is {transformers.__version__}; perhaps a newer one knows it."
    if "allocate memory" in said:
        return " It does not fit into memory."
    return ""


def _quantisation(folder: Path) -> str | None:
    """How the weights of a folder are quantised by its configuration; None where they are not, or nothing is said."""
    try:
        config = read_config(folder)
    except InputError:
        return None
    settings = config.get("quantization_config") or config.get("compression_config") or config.get("quantization")
    if not isinstance(settings, dict):
        return None
    bits = settings.get("load_in_4bit") or settings.get("load_in_8bit")
    unnamed = "MLX" if "quantization" in config else "a method it does not name"
    return str(settings.get("quant_method") or ("bitsandbytes" if bits else unnamed))


def _quantised(folder: Path, method: str, error: Exception) -> InputError:
    packages = _PACKAGES.get(method, "").split()
    lacks = [name for name in packages if not _installed(name.replace("-", "_"))]
    if lacks and isinstance(error, ImportError):
        quoted = " and ".join(f"'{name}'" for name in lacks)
        return PrerequisiteError(
            f"{folder} is quantised with {method}, which needs the {'package' if len(lacks) == 1 else 'packages'} "
            f"{quoted}. Install it (pip install {' '.join(lacks)}), or name the full-precision model "
            f"instead{_full_precision(folder)}."
        )
    return InputError(
        f"{folder} is quantised with {method} and cannot be loaded here: {reason(error)} "
        f"Name the full-precision model instead{_full_precision(folder)}."
    )


def _as_quantised(folder: Path) -> tuple[str, ...]:
    """A note on a quantised model that was opened; InputError where transformers took its weights for plain ones."""
    method = _quantisation(folder)
    if method is None:
        return ()
    from transformers.quantizers import AutoHfQuantizer

    config = read_config(folder)
    settings = config.get("quantization_config") or config.get("compression_config")
    if not settings or not AutoHfQuantizer.supports_quant_method(settings):
        raise InputError(
            f"{folder} is quantised with {method}, which the installed transformers does not know; it would take the "
            f"weights for plain numbers. Name the full-precision model instead{_full_precision(folder)}."
        )
    return (f"{folder.name} is quantised with {method}; the answers are those of the quantised weights.",)


def _try_out(folder: Path, method: str, model: Any) -> None:
    """InputError where quantised weights were opened and cannot be computed with, e.g. because they are plain ones."""
    try:
        with torch.inference_mode():
            finite = torch.isfinite(model(input_ids=torch.tensor([[0, 1]], device=model.device)).logits).all()
    except Exception as error:
        raise _quantised(folder, method, error) from error
    if not bool(finite):
        raise _quantised(folder, method, ValueError("its logits are not finite numbers"))


def _full_precision(folder: Path) -> str:
    """`, hf/NAME`, where the folder's files say what it was made from."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = re.search(r"^base_model:\s*(?:-\s*)?([^\s\[\]]+)\s*$", text, re.MULTILINE)
    name = found.group(1).strip("'\"") if found else str(read_config(folder).get("_name_or_path") or "")
    return f", by its files hf/{name}" if name and name != str(folder) else ""


def _account(folder: Path, info: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes on weights that were left out and that no text reaches; InputError for every other difference."""
    missing = {str(key) for key in info["missing_keys"]}
    mismatched = sorted((str(key), tuple(saved), tuple(model)) for key, saved, model in info["mismatched_keys"])
    unexpected = {str(key) for key in info["unexpected_keys"]}
    unused = {key for key in unexpected if _UNUSED_PARTS.search(key)}
    unexpected -= unused
    method = _quantisation(folder)
    if method and (mismatched or missing or unexpected):
        names = some({key for key, *_ in mismatched} | missing | unexpected)
        raise InputError(
            f"{folder} is quantised with {method}, and its weights do not fit what transformers makes of it ({names}). "
            f"Name the full-precision model instead{_full_precision(folder)}."
        )
    if mismatched:
        raise InputError(_other_sizes(folder, mismatched))
    if missing or unexpected:
        raise InputError(_differences(folder, missing, unexpected))
    if not unused:
        return ()
    return (
        f"{folder.name}: {many(len(unused), 'weight')} of parts for images, sound or several tokens at once "
        f"({some(unused)}) are not loaded; only text is asked.",
    )


def _other_sizes(folder: Path, mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]]) -> str:
    key, saved, wanted = mismatched[0]
    others = f" ({many(len(mismatched) - 1, 'other')} too)" if len(mismatched) > 1 else ""
    empty = [key for key, saved, _ in mismatched if 0 in saved]
    if empty:
        return (
            f"{folder} holds {many(len(empty), 'empty weight')} ({some(empty)}): it was saved from one part of a model "
            "that was spread over several processes (DeepSpeed ZeRO-3, FSDP). Gather the model when saving: "
            "zero_to_fp32.py, or stage3_gather_16bit_weights_on_model_save."
        )
    return (
        f"{folder}: {key} has the shape {saved} in its files and {wanted} by its config.json{others}. One of the two "
        "belongs to another model; restore the config.json that was saved with the weights."
    )


def _differences(folder: Path, missing: set[str], unexpected: set[str]) -> str:
    parts = []
    if missing:
        parts.append(f"{many(len(missing), 'weight')} of the model would be random, because its files lack them")
        parts[-1] += f" ({some(missing)})"
    if unexpected:
        parts.append(f"{many(len(unexpected), 'weight')} in its files would be ignored ({some(unexpected)})")
    return f"{folder} does not hold the model that its config.json describes: {'; '.join(parts)}. {_cause(unexpected)}"


def _cause(unexpected: set[str]) -> str:
    """What probably happened, and the way out."""
    if any(_LORA.search(key) for key in unexpected):
        return (
            "They are an adapter's, saved inside the model. Merge it and save again "
            "(model.merge_and_unload().save_pretrained(...)), or save it by itself and name hf/BASE+ADAPTER."
        )
    if (wrapper := wrapper_of(unexpected)) is not None:
        return wrapper
    if any(_QUANTISED.search(key) for key in unexpected):
        return "They are quantised weights whose config.json lacks quantization_config. Restore it."
    if any(_HEADS.search(key) for key in unexpected):
        return "They are the head of a classifier or reward model, which answers no questions. Name the chat model."
    return "Restore the config.json that was saved with the weights, or save the model again with save_pretrained."


def wrapper_of(names: Collection[str]) -> str | None:
    """In what wrapping a model was saved, as a sentence, where the names of weights say so."""
    for prefix, what in _WRAPPERS.items():
        if any(name.startswith(prefix) or f".{prefix}" in name for name in names):
            return f"Names with '{prefix}' say that the model {what}."
    return None


def _check_numbers(folder: Path, model: Any) -> None:
    """InputError for weights that are not finite numbers, and for embeddings or other matrices that are all 0."""
    with torch.inference_mode():
        weights = {name: weight for name, weight in model.named_parameters() if weight.dtype in _SUMMED}
        # a sum is finite only if every term is, and costs one pass without a copy
        sums = torch.stack([weight.sum(dtype=torch.float32).cpu() for weight in weights.values()])
        for name, sound in zip(weights, torch.isfinite(sums).tolist(), strict=True):
            if not sound and not bool(torch.isfinite(weights[name]).all()):  # else finite numbers whose sum is not
                raise InputError(_not_finite(folder, name, weights[name].dtype))
        zero = [n for n, total in zip(weights, sums.tolist(), strict=True) if total == 0 and _NEVER_ZERO.search(n)]
        zero = [name for name in zero if not bool(weights[name].any())]
        if zero:
            raise InputError(
                f"{folder}: {many(len(zero), 'weight')} of the model {'is' if len(zero) == 1 else 'are'} all 0 "
                f"({some(zero)}): the file was not written or copied to its end. Copy or save the model again."
            )
        embeddings = model.get_input_embeddings().weight
        if not bool(embeddings[:_LOOKED_AT].any()) and not bool(embeddings.any()):
            raise InputError(
                f"{folder}: the embeddings of all tokens are 0. The model was not saved as it was trained."
            )


def _not_finite(folder: Path, name: str, dtype: torch.dtype) -> str:
    what = f"{folder}: {name} holds numbers that are not finite (NaN or infinity)"
    if dtype == torch.float16:
        return f"{what} in float16, whose range is small. Open it with --dtype bfloat16 or float32."
    return f"{what}. The training diverged or the file is damaged; save the model again from an earlier checkpoint."


@contextmanager
def _quietly() -> Iterator[None]:
    """Without progress bars and tables of transformers, whose content is said in a sentence."""
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    # not the level of the logger: changing that makes every logger of the process forget its own
    handlers = {handler: handler.level for handler in python_logging.getLogger("transformers").handlers}
    logging.disable_progress_bar()
    for handler in handlers:
        handler.setLevel(python_logging.ERROR)
    bar = modeling_gguf_pytorch_utils.tqdm  # that of unpacking, which the switch leaves on
    modeling_gguf_pytorch_utils.tqdm = lambda tensors, **_: tensors
    try:
        yield
    finally:
        modeling_gguf_pytorch_utils.tqdm = bar
        for handler, level in handlers.items():
            handler.setLevel(level)
        if bars:
            logging.enable_progress_bar()
