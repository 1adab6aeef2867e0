"""Taps: the addresses of tensors, `student.layer1.0.bn2:in`.

    TAP    := SOURCE [ '.' MODULE_PATH ] [ ':' PORT ( '.' FIELD )* ]     |     'batch' ( '.' FIELD )*
    PORT   := 'out' (default) | 'in' | 'outs' | 'ins' | 'module'

`student` is the output of the model of that name, `student.layer1` that of its module `layer1`. The port selects a value
of the module:

* `out`: its output; `out.logits` and `out.0` are a key, an attribute or an index of a structured output;
* `in`: its first input; `in.1` is the second, `in.mask` the input of that name, passed by position or by name;
* `outs`, `ins`: the list of the outputs or inputs of all calls, if a forward calls the module several times (`out` and
  `in` are those of the last call);
* `module`: the module itself; `module.weight` is one of its parameters.

This file does not import torch, so that a config can be checked without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NoReturn

from .errors import WiringError, did_you_mean

BATCH = "batch"
PORTS = ("out", "in", "outs", "ins", "module")

_SOURCE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MODULE = re.compile(r"[^.:\s]+")
_FIELD = re.compile(r"-?[A-Za-z0-9_][A-Za-z0-9_-]*")
_INDEX = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Tap:
    """The address of one tensor, or of a structure of tensors.

    Args:
        source: The name of a model, or `batch`.
        path: The module inside the model, `layer1.0.bn2`; empty for the model itself.
        port: The value of the module: `out`, `in`, `outs`, `ins` or `module`.
        fields: The path into a structured value: names and indices.

    Raises:
        WiringError: If the parts do not form a valid address.

    >>> Tap.parse("student.layer1.-1.bn2:in.mask")
    Tap(source='student', path='layer1.-1.bn2', port='in', fields=('mask',))
    >>> str(Tap("student", "fc")), str(Tap("batch", fields=("target", "boxes")))
    ('student.fc', 'batch.target.boxes')
    """

    source: str
    path: str = ""
    port: str = "out"
    fields: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        text = str(self)
        if not _SOURCE.fullmatch(self.source):
            _refuse(f"{text!r} does not begin with the name of a model or 'batch'", _EXAMPLES)
        if self.source == BATCH and (self.path or self.port != "out"):
            _refuse(f"{text!r} names a module or a port, but a batch has only fields", "write it like 'batch.target'")
        for part in self.path.split(".") if self.path else ():
            if not _MODULE.fullmatch(part):
                _refuse(f"{text!r} has the module name {part!r}", "a module name has no space and is not empty")
        if self.port not in PORTS:
            _refuse(f"{text!r} has no port {self.port!r}", did_you_mean(self.port, PORTS))
        for field in self.fields:
            _check_field(text, field)

    @classmethod
    def parse(cls, text: object) -> Tap:
        """Parse an address.

        Raises:
            WiringError: If `text` is not a valid address.

        >>> Tap.parse("teacher:out.-1")
        Tap(source='teacher', path='', port='out', fields=(-1,))
        >>> Tap.parse("student.layer1:inn")
        Traceback (most recent call last):
        ...
        distill_core.errors.WiringError: 'student.layer1:inn' has no port 'inn'
          hint: did you mean 'in'?
        """
        if not isinstance(text, str) or not text:
            _refuse(f"{text!r} is not a tap", _EXAMPLES)
        head, colon, tail = text.partition(":")
        _check_parts(text, head, colon, tail)
        source, _, path = head.partition(".")
        if source == BATCH and colon:
            _refuse(f"{text!r} names a port, but a batch has only fields", "write it like 'batch.target'")
        if source == BATCH:
            return cls(source, fields=_parse_fields(path))
        port, _, names = tail.partition(".") if colon else ("out", "", "")
        return cls(source, path, port, _parse_fields(names))

    @property
    def address(self) -> str:
        """The address relative to its model, for `Capture`: `layer1:in`, empty for the model's output."""
        tail = ".".join(map(str, (self.port, *self.fields)))
        return self.path if tail == "out" else f"{self.path}:{tail}"

    def __str__(self) -> str:
        if self.source == BATCH and not self.path and self.port == "out":
            return ".".join(map(str, (self.source, *self.fields)))
        address = self.address
        return f"{self.source}.{address}" if self.path else f"{self.source}{address}"


_EXAMPLES = "write it like 'student', 'student.layer1:in' or 'batch.target'"


def take(value: Any, fields: Sequence[str | int], where: str) -> Any:
    """Follow `fields` into a structure: mappings, sequences, dataclasses, named tuples, modules.

    A name is a key or an attribute. An index is a position. In a mapping, an index is first looked up as a key, as an
    integer and as a string (torchvision's feature pyramids use `"0"`).

    Args:
        value: The structure.
        fields: Names and indices, outermost first.
        where: The address, for the message.

    Raises:
        WiringError: If the field does not exist; the hint lists the existing ones.

    >>> take({"boxes": [1, 2, 3]}, ("boxes", -1), "batch.boxes.-1")
    3
    """
    for field in fields:
        try:
            value = _take_index(value, field) if isinstance(field, int) else _take_name(value, field)
        except LookupError:
            _refuse_field(value, field, where)
    return value


def _take_index(value: Any, index: int) -> Any:
    if isinstance(value, Mapping):
        for key in (index, str(index)):
            if key in value:
                return value[key]
        return list(value.values())[index]
    if (isinstance(value, Sequence) and not isinstance(value, str)) or hasattr(value, "named_modules"):
        return value[index]
    raise LookupError


def _take_name(value: Any, name: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    found = getattr(value, name, None)
    if found is None or (
        isinstance(value, Mapping) and callable(found)
    ):  # None: an optional output that was not requested
        raise LookupError
    return found


_OPTIONAL = {
    "hidden_states": "create the model with hidden_states: true (output_hidden_states of its config)",
    "attentions": "create the model with attentions: true (output_attentions of its config, and attn_implementation: eager, because SDPA returns none)",
}
"""Outputs that models of transformers return only on request → how to request them."""


def _refuse_field(value: Any, field: str | int, where: str) -> NoReturn:
    kind = type(value).__name__
    if isinstance(field, int):
        size = f" of length {len(value)}" if isinstance(value, Mapping | Sequence) else ""
        _refuse(f"{where}: {kind}{size} has no index {field}", "" if size else "omit the index")
    choices = field_names(value)
    hint = _OPTIONAL.get(field, "") if is_dataclass(value) and hasattr(value, field) else ""
    _refuse(f"{where}: {kind} has no field {field!r}", hint or did_you_mean(field, choices) or "omit the field")


def field_names(value: Any) -> list[str]:
    """Return the names of the fields of a mapping, a dataclass or a named tuple, without those that are not set."""
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    if is_dataclass(value):
        return [field.name for field in fields(value) if getattr(value, field.name, None) is not None]
    return list(getattr(value, "_fields", ()))


def _check_parts(text: str, head: str, colon: str, tail: str) -> None:
    if ":" in tail:
        _refuse(f"{text!r} has more than one ':'", _EXAMPLES)
    parts = head.split(".") + (tail.split(".") if colon else [])
    if not all(parts):
        _refuse(f"{text!r} has an empty part", "remove the extra '.' or ':'")


def _check_field(text: str, field: object) -> None:
    is_index = _INDEX.fullmatch(str(field)) is not None
    if isinstance(field, str):
        is_valid = _FIELD.fullmatch(field) is not None and not is_index
    else:
        is_valid = type(field) is int and is_index
    if not is_valid:
        _refuse(f"{text!r} has the field {field!r}", "a field is an index, or a name of letters, digits, '_' and '-'")


def _parse_fields(text: str) -> tuple[str | int, ...]:
    return tuple(int(part) if _INDEX.fullmatch(part) else part for part in text.split(".")) if text else ()


def _refuse(message: str, hint: str) -> NoReturn:
    raise WiringError(message, hint=hint)
