"""Data turned into objects by formats that can run code (CWE-502)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from offtarget.detect.code.facts import Call, Facts, Hole, hole, words

ALWAYS = words(
    "pickle.load pickle.loads pickle.Unpickler cPickle.load cPickle.loads cPickle.Unpickler _pickle.loads "
    "dill.load dill.loads "
    "marshal.load marshal.loads shelve.open jsonpickle.decode jsonpickle.loads cloudpickle.load cloudpickle.loads "
    "pandas.read_pickle joblib.load yaml.unsafe_load yaml.unsafe_load_all yaml.full_load jsonpickle.unpickler.decode "
    "pickle.Unpickler().load shelve.DbfilenameShelf hickle.load sklearn.externals.joblib.load klepto.load "
    "pd.read_pickle"
)
SAFE_LOADERS = frozenset({"SafeLoader", "CSafeLoader", "BaseLoader", "yaml.SafeLoader"})


def unpickled(facts: Facts) -> Iterator[Hole]:
    """Pickle and its kin."""
    for call in facts.calls:
        if call.name in ALWAYS:
            if call.name == "shelve.open" and not _untrusted(call):
                strength = 0.5
            elif call.name in {"joblib.load", "pandas.read_pickle", "pd.read_pickle"}:
                strength = 0.7 if not _untrusted(call) else 0.85
            else:
                strength = 0.97 if _untrusted(call) else 0.9
            yield hole("unpickle", call.node, strength, f"{call.name}() can run code from the data it reads (CWE-502)")


def yaml_loaded(facts: Facts) -> Iterator[Hole]:
    """yaml.load without a safe loader."""
    for call in facts.called("yaml.load", "yaml.load_all", "ruamel.yaml.load"):
        given = call.keywords.get("Loader") or call.arg(1)
        name = _loader(call) if given is not None else ""
        if name not in SAFE_LOADERS:
            yield hole("yaml-load", call.node, 0.95, "yaml.load() without a safe loader can run code (CWE-502)")
    for call in facts.calls:
        if call.name.endswith("YAML") and (kind := call.keywords.get("typ")) is not None and kind.const == "unsafe":
            yield hole("yaml-load", call.node, 0.9, "An unsafe YAML loader (CWE-502)")


def arrays(facts: Facts) -> Iterator[Hole]:
    """numpy and torch files that hold pickles."""
    for call in facts.calls:
        if (
            call.name in {"numpy.load", "np.load"}
            and (allow := call.keywords.get("allow_pickle")) is not None
            and allow.const
        ):
            yield hole("unpickle", call.node, 0.8, "numpy.load(allow_pickle=True) can run code (CWE-502)")
        elif call.name == "torch.load":
            given = call.keywords.get("weights_only")
            if given is not None and given.is_const and not given.const:
                yield hole("unpickle", call.node, 0.6, "torch.load(weights_only=False) can run code (CWE-502)")


def _loader(call: Call) -> str:
    node = next((k.value for k in call.node.keywords if k.arg == "Loader"), None)
    if node is None and len(call.node.args) > 1:
        node = call.node.args[1]
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _untrusted(call: Call) -> bool:
    return any(value.outside or value.param for value in [call.receiver, *call.args, *call.keywords.values()])


RULES = (unpickled, yaml_loaded, arrays)
