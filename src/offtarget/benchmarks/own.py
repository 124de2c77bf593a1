"""A user's own task in lm-eval's format, read so that nothing in the file is run as code.

lm-eval's own reader imports Python named by `!function`, its metrics may be scripts, and some forms of data are
pickles. A file that asks for any of that is refused unless its user trusts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from offtarget.benchmarks.known import NAMES
from offtarget.errors import InputError
from offtarget.located import Fields, compose, line_of
from offtarget.records.benchmark_runs import Benchmark

TRUST = "Say --trust-remote-code if you trust this file."
SCORES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
"""Metrics of lm-eval that give every item a score from 0 to 1, so that items can be paired."""
KEYS = (
    "task", "task_alias", "tag", "include", "dataset_path", "dataset_name", "dataset_kwargs", "training_split",
    "validation_split", "test_split", "fewshot_split", "doc_to_text", "doc_to_target", "doc_to_choice", "unsafe_code",
    "process_docs", "process_results", "custom_dataset", "class", "use_prompt", "doc_to_image", "doc_to_audio",
    "description", "target_delimiter", "fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list",
    "output_type", "generation_kwargs", "repeats", "filter_list", "should_decontaminate",
    "doc_to_decontamination_query", "gen_prefix", "metadata",
)  # fmt: skip
"""Of a task in lm-eval 0.4.13."""
_CODE = ("process_docs", "process_results", "custom_dataset", "class")
"""Keys whose values are Python functions, and nothing else that is of use."""
_FORMATS = ("json", "csv", "text", "parquet", "arrow")
"""Of data files that hold data alone."""
_PICKLES = ("pandas", "webdataset", "spark", "sql", "generator")
"""Readers of `datasets` that unpickle, or run something."""
_DATA_KEYS = ("data_files", "field", "delimiter", "sep", "column_names", "encoding", "sample_by", "trust_remote_code")
_OUTPUTS = ("multiple_choice", "generate_until", "loglikelihood")
_DEEPEST = 8
"""Files that include each other."""
_YAML = "tag:yaml.org,2002:"


def read_task(path: Path, *, trusted: bool = False) -> Benchmark:
    """The one task of a YAML file.

    InputError, with file and line, for a file that holds none, for a misspelt key, for data that is not there, and for
    anything that runs code unless the file is `trusted`.
    """
    path = path.expanduser()
    merged, code = _merged(path, trusted, ())
    if "group" in merged:
        raise _at(path, merged["group"], "this is a group of tasks. Name the file of each task, separated by commas.")
    fields = Fields(path, 1, merged)
    fields.refuse_unknown(KEYS)
    name = fields.name("task")
    if name in NAMES:
        raise fields.error(f"the task is called '{name}', as a known benchmark is. Give it another name.")
    if not all(letter.isalnum() or letter in "_-." for letter in name):
        raise fields.error(f"the name '{name}' of a task may hold letters, digits, '_', '-' and '.' only.")
    _refuse_others(fields)
    metric = _metric(fields, trusted=code)
    if code:
        return Benchmark(name, file=str(path.resolve()), metric=metric)
    config = {key: fields.value(key) for key in merged}
    config["dataset_kwargs"], config["dataset_path"] = _data(fields, config)
    try:
        return Benchmark(name, config=json.dumps(config, default=str), metric=metric)
    except (TypeError, ValueError) as error:
        raise fields.error(f"it holds a value that no task can have ({error}).") from None


def find_task(folder: Path, name: str, *, trusted: bool = False) -> Benchmark | None:
    """The task of that name in a folder of YAML files; None where there is none. InputError as `read_task`."""
    for path in sorted(folder.glob("**/*.yaml")):
        try:
            fields = Fields.of(compose(path), path)
        except InputError:
            continue  # another file's fault is no concern of this task
        node = fields.values.get("task")
        if isinstance(node, yaml.ScalarNode) and node.value == name:
            return read_task(path, trusted=trusted)
    return None


def _merged(path: Path, trusted: bool, above: tuple[Path, ...]) -> tuple[dict[str, yaml.Node], bool]:
    """The values of a file over those that it includes, and whether any of them names code."""
    place = path.resolve()
    if place in above or len(above) >= _DEEPEST:
        raise InputError(f"{path} includes itself, or more than {_DEEPEST} files deep. Write the keys out.")
    root = compose(path)
    code = False
    for node in _all(root):
        if node.tag.startswith((f"{_YAML}python", "!")):
            if not trusted or node.tag != "!function":
                raise InputError(
                    f"{path}, line {line_of(node)}: '{node.tag} {_text(node)}' runs Python code that comes with the "
                    f"file. {TRUST}"
                )
            code = True
    fields = Fields.of(root, path)
    found: dict[str, yaml.Node] = {}
    for included in fields.texts("include"):
        values, more = _merged(path.parent / included, trusted, (*above, place))
        found, code = {**found, **values}, code or more
    found |= fields.values
    found.pop("include", None)
    return found, code


def _all(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _all(child)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _all(key)
            yield from _all(value)


def _text(node: yaml.Node) -> str:
    return str(node.value)[:60] if isinstance(node, yaml.ScalarNode) else "..."


def _refuse_others(fields: Fields) -> None:
    """InputError for what no check can use, trusted or not."""
    if "unsafe_code" in fields.values and fields.value("unsafe_code") is not False:
        raise fields.error(
            "'unsafe_code' has the answers of a model run as programs. offtarget never does that; leave the task out.",
            fields.values["unsafe_code"],
        )
    for key in ("doc_to_image", "doc_to_audio"):
        if key in fields.values:
            raise fields.error(f"'{key}': only text can be asked.", fields.values[key])
    for key in (*_CODE, "use_prompt"):
        node = fields.values.get(key)
        if node is not None and node.tag.startswith(_YAML):
            what = "names prompts of another package" if key == "use_prompt" else "must be a Python function"
            raise fields.error(f"'{key}' {what}, which is not read here. Write the task without it.", node)
    kind = fields.text("output_type", "generate_until")
    if kind not in _OUTPUTS:
        why = " Its score is not one of single items between 0 and 1." if kind == "loglikelihood_rolling" else ""
        raise fields.error(
            f"'output_type' is '{kind}'; it can be {', '.join(_OUTPUTS)}.{why}", fields.values.get("output_type")
        )
    splits = [key for key in ("test_split", "validation_split") if key in fields.values]
    if all(fields.value(key) is None for key in splits):
        raise fields.error("neither 'test_split' nor 'validation_split' says which rows are asked. Add one.")


def _metric(fields: Fields, *, trusted: bool) -> str | None:
    """The first metric that scores items and of which more is better; None where the file names none."""
    node = fields.values.get("metric_list")
    if node is None or trusted:
        return None
    entries = fields.value("metric_list")
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "metric" in e for e in entries):
        raise fields.error("'metric_list' must be a list of entries with the key 'metric'.", node)
    for entry in entries:
        if entry.get("hf_evaluate"):
            raise fields.error(
                f"the metric '{entry['metric']}' is a script that is fetched and run. Use one of {', '.join(SCORES)}.",
                node,
            )
        if entry["metric"] not in SCORES:
            raise fields.error(
                f"the metric '{entry['metric']}' does not score items from 0 to 1. Use one of {', '.join(SCORES)}.",
                node,
            )
        if not isinstance(entry.get("higher_is_better", True), bool):
            raise fields.error(f"'higher_is_better' of the metric '{entry['metric']}' must be true or false.", node)
    more_is_better = [str(entry["metric"]) for entry in entries if entry.get("higher_is_better", True)]
    if entries and not more_is_better:
        raise fields.error(
            f"'higher_is_better' of the metric '{entries[0]['metric']}' is false: less of it is better, and a "
            "model that became worse would seem to gain. Turn the right answers ('doc_to_target') round.",
            node,
        )
    return next(iter(more_is_better), None)


def _data(fields: Fields, config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The arguments of the data set with files that are whole paths, and what reads them."""
    path = fields.text("dataset_path")
    node = fields.values["dataset_path"]
    block = config.get("dataset_kwargs") or {}
    if not isinstance(block, dict):
        raise fields.error("'dataset_kwargs' must be a block of keys.", fields.values["dataset_kwargs"])
    kwargs = dict(block)
    if path in _PICKLES:
        raise fields.error(
            f"data of the form '{path}' may run code as it is read. Use one of {', '.join(_FORMATS)}.", node
        )
    for key in kwargs:
        if key not in _DATA_KEYS:
            raise fields.error(
                f"'dataset_kwargs' has the key '{key}'; it can have {', '.join(_DATA_KEYS[:-1])}.",
                fields.values["dataset_kwargs"],
            )
    kwargs.pop("trust_remote_code", None)
    if path not in _FORMATS:
        if path.startswith((".", "/", "~")) or (fields.path.parent / path).exists():
            raise fields.error(
                f"'dataset_path' is a place here. Say 'dataset_path: json' (or {', '.join(_FORMATS[1:])}) and name the "
                "files with 'dataset_kwargs: {data_files: ...}'.",
                node,
            )
        if "data_files" in kwargs:
            raise fields.error(f"'data_files' go with 'dataset_path: {_FORMATS[0]}' and the like, not '{path}'.", node)
        return kwargs, path
    if not kwargs.get("data_files"):
        raise fields.error(f"'dataset_path: {path}' needs 'dataset_kwargs: {{data_files: ...}}'. Add it.", node)
    kwargs["data_files"] = _files(fields, kwargs["data_files"])
    return kwargs, path


def _files(fields: Fields, given: Any) -> Any:
    """The same with whole paths, beginning at the folder of the YAML file."""
    if isinstance(given, dict):
        return {str(split): _files(fields, files) for split, files in given.items()}
    if isinstance(given, list):
        return [_files(fields, one) for one in given]
    node = fields.values["dataset_kwargs"]
    if not isinstance(given, str) or not given.strip():
        raise fields.error(f"'data_files' holds {given!r}, which is not the name of a file.", node)
    if "://" in given:
        raise fields.error(
            f"'data_files' names an address ({given[:80]}). Put the file beside the task and name it there.", node
        )
    place = fields.path.parent.resolve() / Path(given).expanduser()
    if not place.is_file() and not ("*" in place.name and any(place.parent.glob(place.name))):
        raise fields.error(f"'data_files': {place} does not exist.", node)
    return str(place)


def _at(path: Path, node: yaml.Node, message: str) -> InputError:
    return InputError(f"{path}, line {line_of(node)}: {message}")
