"""A registry of short names for objects, and references to papers in the docstrings of methods.

A configuration names objects by import path and needs no registry. Short names are used in lists
(`distill list losses`), and a file may say `KDLoss` instead of `distill_core.losses.KDLoss`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from .errors import DistillError, did_you_mean

T = TypeVar("T")

FIELDS = ("Paper", "Authors", "Venue", "Year", "Link")
"""The reference lines in the docstring of a method's module, in this order."""


class RegistryError(DistillError):
    """A short name that is taken or not registered."""

    exit_code = 2


class Registry:
    """A table of short names; Distill itself uses the one in `distill_core.registry`.

    >>> registry = Registry()
    >>> @registry.register
    ... class Mine: ...
    >>> registry.lookup("Mine") is Mine
    True
    """

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}

    @overload
    def register(self, name: str, /) -> Callable[[T], T]: ...

    @overload
    def register(self, target: T, /) -> T: ...

    def register(self, target: Any, /) -> Any:
        """Register a class or function under a short name: `@register`, or `@register("name")`.

        A definition that is loaded again (a reload, a notebook cell run twice) replaces the old one.

        Raises:
            RegistryError: The name belongs to another object; the message names both modules.
        """
        if isinstance(target, str):
            return lambda thing: self._add(target, thing)
        return self._add(target.__name__, target)

    def lookup(self, name: str) -> Any:
        """Return the object with a short name.

        Raises:
            RegistryError: The name is not registered; the hint is the closest one.
        """
        if name not in self._objects:
            message = f"nothing is registered as '{name}'"
            raise RegistryError(message, hint=did_you_mean(name, self._objects))
        return self._objects[name]

    def names(self) -> list[str]:
        """Return all short names, sorted."""
        return sorted(self._objects)

    def _add(self, name: str, thing: T) -> T:
        known = self._objects.get(name)
        if known is not None and _definition(known) != _definition(thing):
            message = f"'{name}' is already registered by {known.__module__}, so {thing.__module__} cannot register it"
            hint = 'use another name: @register("another_name")'
            raise RegistryError(message, hint=hint)
        self._objects[name] = thing
        return thing


_REGISTRY = Registry()
register = _REGISTRY.register
lookup = _REGISTRY.lookup
names = _REGISTRY.names


@dataclass(frozen=True)
class Reference:
    """The reference of a method, read from the docstring of its module.

    Attributes:
        method: The name of the method, "Knowledge distillation (KD)".
        idea: One line, "the student matches the teacher's softened class probabilities".
        paper: The title. It, the authors and the venue are empty for a method without a paper.
        authors: All authors, "Geoffrey Hinton, Oriol Vinyals, Jeff Dean".
        venue: Short name without the year, "NeurIPS".
        year: The year of the venue.
        link: The page of the paper.
        use: What the method is for, "any classifier with the teacher's classes". Empty if the docstring does not say.
        taps: Which tensors it reads, "the logits, `student` and `teacher`". Empty if the docstring does not say.
    """

    method: str
    idea: str
    paper: str = ""
    authors: str = ""
    venue: str = ""
    year: str = ""
    link: str = ""
    use: str = ""
    taps: str = ""


def reference(docstring: str) -> Reference:
    """Parse the first lines of a method's docstring; `distill_core.losses` documents the format.

    >>> reference('''Averaging (AVG): the student is the mean.
    ...
    ... Paper: On means
    ... Authors: A. Mean
    ... Venue: MEAN
    ... Year: 2020
    ... Link: https://example.org/1
    ... ''').paper
    'On means'

    Raises:
        ValueError: A field is missing, or the order is different.
    """
    method, _, idea = docstring.strip().partition("\n")[0].partition(": ")
    found = dict(re.findall(rf"^({'|'.join(FIELDS)}): +(.+?) *$", docstring, flags=re.MULTILINE))
    if not idea or tuple(found) != FIELDS:
        message = f"the docstring of '{method}' needs 'Name (ACRONYM): idea.' and, in this order, {', '.join(FIELDS)}; found {', '.join(found) or 'none'}"
        raise ValueError(message)
    source = ("" if found[field] == "none" else found[field] for field in FIELDS)
    return Reference(method, idea.rstrip("."), *source, **_advice(docstring))


def _advice(docstring: str) -> dict[str, str]:
    """Return the texts of the lines `Use:` and `Taps:`, which may continue on the next lines."""
    paragraph = next((text for text in docstring.split("\n\n") if text.startswith("Use: ")), "")
    use, _, taps = " ".join(paragraph.split()).partition(" Taps: ")
    return {"use": use.removeprefix("Use: "), "taps": taps}


def _definition(thing: Any) -> tuple[str, str]:
    return thing.__module__, getattr(thing, "__qualname__", repr(thing))
