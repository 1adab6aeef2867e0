"""Type hints: matching of values, descriptions for messages, hints from annotations in source, and plain data against them."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import enum
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..lengths import COUNTS, share
from ..ranges import ALIASES, Range, without_range
from ._nodes import is_untagged, join, scalar_value

MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_WORDS: dict[Any, str] = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the hint alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def fits(value: Any, hint: Any) -> bool:
    """Return whether a built value matches `hint`; elements of containers and ranges are not checked."""
    hint, _ = without_range(hint)
    if hint is Any:
        return True
    if len(members(hint)) > 1:
        return any(fits(value, member) for member in members(hint))
    origin = typing.get_origin(hint) or hint
    if origin is Literal:
        return any(value == item and type(value) is type(item) for item in typing.get_args(hint))
    if hint in (None, type(None)):
        return value is None
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is collections.abc.Callable:
        return callable(value)
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return False
    if origin in SEQUENCES and isinstance(value, str):
        return False
    return isinstance(value, origin) if isinstance(origin, type) else True


def expected(hint: Any) -> str:
    """Describe the accepted values of a hint, for a message."""
    return " or ".join(dict.fromkeys(word for member in members(hint) for word in words(member)))


def words(hint: Any) -> Iterator[str]:
    """Describe the accepted values of one member of a union; nothing for a marker such as `INHERIT`."""
    hint, _ = without_range(hint)
    origin = typing.get_origin(hint) or hint
    if hint in _WORDS:
        yield _WORDS[hint]
    elif hint in (None, type(None)):
        yield "null"
    elif origin is Literal:
        yield from (f"'{item}'" for item in typing.get_args(hint))
    elif origin in MAPPINGS or dataclasses.is_dataclass(hint):
        yield "a mapping"
    elif origin in SEQUENCES:
        yield "a list"
    elif not (isinstance(origin, type) and issubclass(origin, enum.Enum)):
        yield "an object"


def records(hint: Any) -> dict[str, type]:
    """Return all dataclasses that a hint contains, directly or in their fields, by name."""
    found: dict[str, type] = {}
    todo = [hint]
    while todo:
        hint = todo.pop()
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            if hint.__name__ not in found:
                found[hint.__name__] = hint
                todo += typing.get_type_hints(hint).values()
        else:
            todo += typing.get_args(hint)
    return found


def hint_of(annotation: Any, known: Mapping[str, type]) -> Any:
    """Return an annotation in source as a type hint, if it consists of `known` records, containers and scalars.

    Anything else becomes `Any`.
    """
    if isinstance(annotation, str):
        try:
            annotation = ast.parse(annotation, mode="eval").body
        except SyntaxError:
            return Any
    if not isinstance(annotation, ast.expr):
        return Any if annotation is None else annotation
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _union(hint_of(annotation.left, known), hint_of(annotation.right, known))
    if isinstance(annotation, ast.Constant):
        return None if annotation.value is None else hint_of(annotation.value, known)
    if isinstance(annotation, ast.Subscript):
        return _generic(annotation, known)
    name = annotation.attr if isinstance(annotation, ast.Attribute) else getattr(annotation, "id", "")
    return {**_SIMPLE, **known}.get(name, Any)


_SIMPLE: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "None": None, **ALIASES}


def _union(left: Any, right: Any) -> Any:
    return Any if Any in (left, right) else Union[left, right]  # noqa: UP007 - created at run time


def _generic(annotation: ast.Subscript, known: Mapping[str, type]) -> Any:
    outer = ast.unparse(annotation.value).rpartition(".")[2]
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if outer == "Literal" and all(isinstance(item, ast.Constant) for item in inner):
        return Literal[tuple(ast.literal_eval(item) for item in inner)]
    if outer == "Annotated":
        return _ranged(hint_of(inner[0], known), inner[1])
    hints = [hint_of(item, known) for item in inner]
    if outer in ("Mapping", "dict", "Dict") and len(hints) == 2:
        return Mapping[str, hints[1]]  # type: ignore[valid-type]
    if outer in ("tuple", "Tuple"):
        hints = list(dict.fromkeys(hint for hint, item in zip(hints, inner, strict=True) if not _is_ellipsis(item)))
    if outer in ("Sequence", "list", "List", "Iterable") or (outer in ("tuple", "Tuple") and len(hints) == 1):
        return Sequence[hints[0]]  # type: ignore[valid-type]
    return _union(hints[0], None) if outer == "Optional" else Any


def _is_ellipsis(item: ast.expr) -> bool:
    return isinstance(item, ast.Constant) and item.value is ...


def _ranged(hint: Any, note: ast.expr) -> Any:
    """Return the hint of `Annotated[float, Range(min=0)]`, whose bounds are plain numbers."""
    if not (isinstance(note, ast.Call) and ast.unparse(note.func).rpartition(".")[2] == "Range"):
        return hint
    bounds = {word.arg: word.value for word in note.keywords if isinstance(word.value, ast.Constant)}
    if hint is Any or note.args or len(bounds) != len(note.keywords):
        return hint
    return Annotated[hint, Range(**{str(name): value.value for name, value in bounds.items()})]  # type: ignore[arg-type]


class _Object(enum.Enum):
    """An object of torch, which is never plain data."""


_OBJECTS = {"Tensor": _Object, "Module": _Object, "Parameter": _Object}
_ANNOTATED = ("torch.optim.", "torch.nn.", "transformers.get_", "transformers.optimization.")
"""Names whose annotations are reliable: optimizers, schedules, losses and layers."""


def foreign_hint(path: str, annotation: Any, name: str | int) -> Any:
    """Return the hint of a parameter of an optimizer, schedule, loss or layer; `Any` if it is not known.

    It is `Any` also for a count of a schedule, which `length_problem` checks.
    """
    if not path.startswith(_ANNOTATED) or name in COUNTS:
        return Any
    return hint_of(annotation, _OBJECTS)


def misfits(node: Node, hint: Any, key: str) -> Iterator[tuple[Node, Any, str]]:
    """Yield plain data of another kind than a hint, with its hint and key: a word for a number, a list for one value.

    A number of another type passes, because annotations often name one of several; so does null, and a share such as 5%.
    """
    if not is_untagged(node) or hint is Any:
        return
    if isinstance(node, ScalarNode):
        value = scalar_value(node)
        is_word = isinstance(value, bool) or (isinstance(value, str) and share(value) is None)
        if is_word and not fits(value, hint):
            yield node, hint, key
        return
    kinds = MAPPINGS if isinstance(node, MappingNode) else SEQUENCES
    inner = [member for member in members(hint) if (typing.get_origin(member) or member) in kinds]
    if not inner:
        yield node, hint, key
    for index, item in enumerate(node.value if inner and isinstance(node, SequenceNode) else ()):
        yield from misfits(item, next(iter(typing.get_args(inner[0])), Any), join(key, str(index)))
