"""The registry of cards: this package's, those of other packages, and those added on this machine."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ._card import Card, split_tag
from ._errors import ZooError, did_you_mean
from ._parse_cards import read_cards
from ._settings import home

GROUP = "distill_zoo.cards"
"""Entry point group for packages whose YAML files are card files."""


@dataclass(frozen=True)
class Registry:
    """Cards, former names and folders of the card files, each by name and in the order of the files."""

    cards: Mapping[str, Card]
    renamed: Mapping[str, str]
    folders: Mapping[str, Traversable]


def registry() -> Registry:
    """Return all cards.

    Raises:
        ZooError: A card file is invalid, or two cards have the same name.
    """
    return _collect(home() / "cards")


@cache
def _collect(local: Path) -> Registry:
    cards: dict[str, Card] = {}
    renamed: dict[str, str] = {}
    folders: dict[str, Traversable] = {}
    for owner, folder in _folders(local):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".yaml"):
                for name, new in read_cards(file.read_text(encoding="utf-8"), file.name, owner).items():
                    _refuse_duplicate(name, owner, cards, renamed)
                    cards[name], folders[name] = new, folder
                    for old in new.deprecated:
                        _refuse_duplicate(old, owner, cards, renamed)
                        renamed[old] = name
    return Registry(cards, renamed, folders)


def _folders(local: Path) -> Iterator[tuple[str, Traversable]]:
    yield "distill-zoo", resources.files(__package__) / "cards"
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.value, point.name)):
        owner = point.dist.name if point.dist else point.name
        try:
            folder = resources.files(point.value)
        except (ImportError, TypeError) as error:
            message = f"{owner} registers cards in {point.value}, which cannot be imported: {error}"
            raise ZooError(message) from error
        yield owner, folder
    if local.is_dir():
        yield f"this machine ({local})", local


def _refuse_duplicate(name: str, owner: str, cards: Mapping[str, Card], renamed: Mapping[str, str]) -> None:
    if name in cards or name in renamed:
        first = cards[renamed.get(name, name)].owner
        message = f"two cards are named '{name}': one from {first} and one from {owner}"
        raise ZooError(message, hint="remove or rename one of them")


def forget() -> None:
    """Clear the cache, so that the next access reads all cards again."""
    _collect.cache_clear()


def list_models(pattern: str = "*") -> list[str]:
    """Return the sorted names of all models that match a glob.

    >>> list_models("cifar10/resnet*")
    ['cifar10/resnet110', 'cifar10/resnet20', 'cifar10/resnet32', 'cifar10/resnet44', 'cifar10/resnet56']
    """
    return sorted(name for name in registry().cards if fnmatchcase(name, pattern))


def card(name: str) -> Card:
    """Return the card of a model.

    A name without a tag selects the model's first card. A former name still works, with a `FutureWarning`.

    Raises:
        ZooError: The name or its tag is unknown.

    >>> card("cifar10/resnet20").builder
    'distill_vision.models.resnet20'
    """
    known = registry()
    name = str(name)
    if name in known.cards:
        return known.cards[name]
    if new := known.renamed.get(name):
        warnings.warn(f"'{name}' was renamed to '{new}'", FutureWarning, stacklevel=2)
        return known.cards[new]
    model, tag = split_tag(name)
    siblings = [each for each in known.cards.values() if each.model == model]
    if siblings and not tag:
        return siblings[0]
    if siblings:
        tags = ", ".join(f"'{each.name}'" for each in siblings)
        message = f"'{model}' has no weights with the tag '{tag}'"
        raise ZooError(message, hint=f"choose from {tags}")
    message = f"the zoo has no model '{name}'"
    raise ZooError(message, hint=did_you_mean(name, known.cards))


def beside(name: str, file: str) -> Traversable:
    """Return a file next to the card file."""
    folder = registry().folders.get(name)
    if folder is None or ".." in file.split("/") or file.startswith("/"):
        message = f"{name}: the card file has no file '{file}' next to it"
        raise ZooError(message)
    return folder / file
