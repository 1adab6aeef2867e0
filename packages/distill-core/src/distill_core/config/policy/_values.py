"""Checks of argument values against the policy's table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from . import _table as table

UNKNOWN = object()
"""The value of an argument that only building determines."""


def is_value_allowed(allowed: str, value: object) -> bool:
    """Return whether a value is what the table calls `allowed`.

    An unknown value passes if several values are allowed, and is checked again when it is built.
    """
    return _IS[allowed](value)


def _is_empty(value: object) -> bool:
    return isinstance(value, (str, list, tuple, Mapping)) and not value


def _each(value: object) -> list[object]:
    """Return the elements of a list or mapping, at any depth, or the value alone."""
    if isinstance(value, Mapping):
        return [item for inner in value.values() for item in _each(inner)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [item for inner in value for item in _each(inner)]
    return [value]


def _among(names: tuple[str, ...]) -> Callable[[object], bool]:
    """Return a check that each string is one of these names; null is allowed for a submodel."""
    return lambda value: all(item is UNKNOWN or item is None or item in names for item in _each(value))


def _is_no_pickle(value: object) -> bool:
    """Return whether no file is a pickle or script, compressed or not; `a::b` is a file inside another."""
    paths = [str(item).lower() for item in _each(value) if isinstance(item, (str, PurePath))]
    suffixes = {suffix for path in paths for inner in path.split("::") for suffix in PurePath(inner).suffixes}
    return suffixes.isdisjoint(table.PICKLES)


def _is_no_script(value: object) -> bool:
    return value != "pandas" and _is_no_pickle(value)


def _is_metric(value: object) -> bool:
    """Return whether each string names a metric of evaluate, which reads a folder of that name before its own."""
    names = [item for item in _each(value) if isinstance(item, (str, PurePath))]
    return all(re.fullmatch(r"\w+", str(name)) and not Path(name, f"{name}.py").exists() for name in names)


def _is_quantizer(value: object) -> bool:
    """Return whether a mapping names a method without hub kernels; objects were checked by their class."""
    method = value.get("quant_method") if isinstance(value, Mapping) else None
    return str(getattr(method, "value", method)) not in table.HUB_QUANTIZERS


_IS: Mapping[str, Callable[[object], bool]] = {
    table.NULL: _is_empty,
    table.FALSE: lambda value: value is False,
    table.TRUE: lambda value: value is True,
    table.SAFETENSORS: lambda value: value is UNKNOWN or str(value).endswith(".safetensors"),
    table.ATTENTION: _among(table.ATTENTIONS),
    table.EXPERTS: _among(table.EXPERT_KERNELS),
    table.QUANTIZER: _is_quantizer,
    table.MEGATRON: lambda value: value == "megatron.core",
    table.NO_PICKLE: _is_no_pickle,
    table.NO_SCRIPT: _is_no_script,
    table.METRIC: _is_metric,
}
