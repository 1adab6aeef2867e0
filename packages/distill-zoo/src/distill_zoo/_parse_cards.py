"""Strict parser of card files: unknown, missing and mistyped fields are refused."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar

import yaml

from ._card import Card
from ._errors import ZooError, did_you_mean

Record = TypeVar("Record")


def read_cards(text: str, source: str, owner: str = "") -> dict[str, Card]:
    """Return the cards of one file. Fields under `shared` are defaults for all its `models`.

    A mapping in both `shared` and a model is merged key by key.

    Args:
        text: YAML, `{shared: {…}, models: {name: {…}}}`.
        source: The file's name, for error messages.
        owner: The distribution that provides the file.

    Raises:
        ZooError: The file is not a card file, or a card has an unknown, missing or mistyped field.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        message = f"{source} is not YAML that can be read without running code: {str(error).splitlines()[0]}"
        raise ZooError(message) from error
    if not isinstance(document, Mapping) or not isinstance(document.get("models"), Mapping):
        message = f"{source} is not a card file"
        raise ZooError(message, hint="use the form '{shared: {…}, models: {name: {…}}}'")
    shared = document.get("shared") or {}
    return {
        str(name): decode(Card, {**_merge(shared, own or {}), "name": str(name), "owner": owner}, f"{source}: {name}")
        for name, own in document["models"].items()
    }


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping) and key != "kwargs"
        merged[key] = {**under, **value} if both and under is not None else value
    return merged


def decode(kind: type[Record], values: Any, where: str) -> Record:
    """Build a record of the given class from a mapping.

    Args:
        where: Prefix of error messages.

    Raises:
        ZooError: See `read_cards`.
    """
    if not isinstance(values, Mapping):
        message = f"{where}: expected a mapping of fields, got {values!r}"
        raise ZooError(message)
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in values.keys() - known.keys():
        message = f"{where}: '{key}' is not a field of a card"
        raise ZooError(message, hint=did_you_mean(str(key), known))
    for key, each in known.items():
        if key not in values and each.default is MISSING and each.default_factory is MISSING:
            message = f"{where}: the field '{key}' is missing"
            raise ZooError(message)
    hints = _hints(typing.cast("Any", kind))
    return kind(**{key: _value(hints[key], value, where, key) for key, value in values.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(wanted: Any, value: Any, where: str, key: str) -> Any:
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return _either(parts, value, where, key)
    if is_dataclass(wanted):
        return decode(typing.cast("type[Any]", wanted), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = (parts[0],) * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            return tuple(_value(kind, each, where, key) for kind, each in zip(kinds, value, strict=True))
    elif _fits(wanted, value):
        return float(value) if wanted is float else value
    message = f"{where}: '{key}' must be {_describe(wanted)}, got {value!r}"
    raise ZooError(message)


def _fits(wanted: Any, value: Any) -> bool:
    if typing.get_origin(wanted) is Literal:
        return value in typing.get_args(wanted)
    if isinstance(value, bool):  # a subclass of int
        return False
    if wanted is float:
        return isinstance(value, int | float)
    return isinstance(value, wanted if isinstance(wanted, type) else Mapping)


def _either(choices: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if value is None and type(None) in choices:
        return None
    error: ZooError | None = None
    for choice in choices:
        if choice is not type(None):
            try:
                return _value(choice, value, where, key)
            except ZooError as problem:
                error = error or problem
    raise error or ZooError(f"{where}: '{key}' must not be null")


def _describe(wanted: Any) -> str:
    names = {str: "a string", int: "an integer", float: "a number"}
    if typing.get_origin(wanted) is Literal:
        return "one of " + ", ".join(f"'{each}'" for each in typing.get_args(wanted))
    if typing.get_origin(wanted) is tuple:
        parts = typing.get_args(wanted)
        kinds = names.get(parts[0], "a mapping").partition(" ")[2] + "s"
        return f"a list of {kinds}" if parts[-1] is Ellipsis else f"a list of {len(parts)} {kinds}"
    return names.get(wanted, "a mapping")
