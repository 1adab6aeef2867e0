"""The names and arguments that a config may use, decided by the table in `_table.py`.

Names are checked by the module that defines the object: `torch.os.system` is `posix.system`. The policy guards against
surprises in a file from somebody else; it is not a sandbox.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from . import _table as table
from ._values import is_value_allowed

OURS = ("distill_core", "distill_vision", "distill_nlp", "distill_zoo")
FOREIGN = ("torch", "torchvision", "transformers", "datasets", "evaluate", "accelerate", "torchmetrics", "timm", "peft")
ROOTS = (*OURS, *FOREIGN)
"""The packages that may be imported because a config names them."""

EXACT = frozenset(rule.name for rule in table.ALLOWED if rule.allowed == table.ITSELF)
"""Single names that are allowed."""

AREAS = tuple(rule.name for rule in table.ALLOWED if rule.allowed in (table.ALL, table.CALLED))
"""Modules and classes of which everything is allowed, except what `REFUSED` lists."""

REFUSED: Mapping[str, str] = {rule.name: rule.why for rule in table.REFUSED}
"""Names that `--trust` cannot allow, with the reason."""

_METHODS = re.compile(
    r"apply_?|map_?|map2_|filter|register\w*|cleanup\w*|save\w*|push_to_hub|to_(?!device$|dense$|sparse$|list$|dict$)\w+|tofile|tobytes"
    r"|dump\w*|load_(?!from_disk$)\w+|get_state_dict|format|format_map|compile|export\w*|write\w*|numpy|storage|untyped_storage"
    r"|share_memory_?|data_ptr|mro|(func|gi|cr|ag|tb|f|co)_\w+|from_sql|from_generator|from_spark|set_extra_state"
)
_TENSOR_METHODS = frozenset(
    "to float half double long int bool bfloat16 clone detach cpu view reshape flatten squeeze unsqueeze permute transpose "
    "t expand repeat sum mean std var min max abs sqrt exp log softmax argmax argmin size dim numel item tolist shape dtype "
    "device ndim T requires_grad_ contiguous add sub mul div pow clamp".split()
)
_DATA_METHODS = frozenset(
    "get keys values items copy index count lower upper strip lstrip rstrip split rsplit replace join startswith endswith "
    "title capitalize union intersection difference bit_length is_integer fromkeys".split()
)

_CALLED = frozenset(rule.name for rule in table.ALLOWED if rule.allowed == table.CALLED)
_ARGUMENTS = {rule.name: rule for rule in table.ARGUMENTS}
_REGISTERING = re.compile(r".*\.register_\w+")
_CONVERSION = re.compile(r"transformers\.models\.\w+\.convert_\w+(\..*)?")


def argument_refusal(name: str, value: object, callee: str = "", trust: Iterable[str] = ()) -> str | None:
    """Return why an argument must not have a value; None if it may.

    Args:
        name: The argument, or the key of a mapping that may become one.
        value: Its value, `UNKNOWN` if only building determines it.
        callee: The real name of the callable that takes it, if known.
        trust: Packages of which each callable takes what it likes, except for what no callable may take.
    """
    rule = _ARGUMENTS.get(name) or (None if _under(callee, trust) else _ARGUMENTS.get(f"{callee}.{name}"))
    if rule is None or value is None or is_value_allowed(rule.allowed, value):
        return None
    return f"{rule.why}; allowed is {rule.allowed}"


def is_only_called(name: str, trust: Iterable[str]) -> bool:
    """Return whether a config may call the function `name`, but not pass it on."""
    return name in _CALLED and _under(name, trust) is None


def _under(name: str, prefixes: Iterable[str]) -> str | None:
    """Return the prefix that `name` equals or is below; None if there is none."""
    for prefix in prefixes:
        if name == prefix or name.startswith(prefix if prefix.endswith("_") else prefix + "."):
            return prefix
    return None


def refusal(name: str) -> str | None:
    """Return why a config may never use `name`; None if it may."""
    if _REGISTERING.fullmatch(name):
        return "it changes the whole process"
    if _CONVERSION.fullmatch(name):
        return "it reads pickles"
    prefix = _under(name, REFUSED)
    return REFUSED[prefix] if prefix else None


def is_allowed(name: str, trust: Iterable[str]) -> bool:
    """Return whether a config may use an object with the real name `name`."""
    if refusal(name):
        return False
    return name in EXACT or _under(name, AREAS) is not None or _under(name, trust) is not None


def leads_to_area(module: str, trust: Iterable[str]) -> bool:
    """Return whether a submodule may be imported because a config may use something in it or below it."""
    areas = (*AREAS, *trust)
    return _under(module, areas) is not None or any(area.startswith(module + ".") for area in areas)


def is_importable(path: str, trust: Iterable[str]) -> bool:
    """Return whether the package that `path` begins with may be imported."""
    root = path.partition(".")[0]
    return root in ROOTS or path in EXACT or root == "math" or any(root == name.partition(".")[0] for name in trust)


def is_method_allowed(owner: str, method: str) -> bool:
    """Return whether a config may use `method` of objects whose class is `owner` (`torch.Tensor`)."""
    if owner.startswith("builtins."):
        return method in _DATA_METHODS
    if owner in ("torch.Tensor", "torch._C.TensorBase"):
        return method in _TENSOR_METHODS
    return not _METHODS.fullmatch(method)


def untrustable(trust: Iterable[str]) -> dict[str, str]:
    """Return the names in `--trust` that cannot be trusted, with the reason."""
    reasons = {}
    for name in trust:
        if name.partition(".")[0] in sys.stdlib_module_names or name == "builtins":
            reasons[name] = "it is part of Python itself"
        elif not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
            reasons[name] = "it is not a package name"
        elif reason := refusal(name):
            reasons[name] = reason
    return reasons
