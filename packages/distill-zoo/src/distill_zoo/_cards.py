"""All cards there are: this package's, other packages', and those added on this machine."""

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
"""Entry points of this group name packages whose YAML files are cards."""


@dataclass(frozen=True)
class Registry:
    """Cards by name, in the order of their files; and the folders that their own files lie in."""

    cards: Mapping[str, Card]
    renamed: Mapping[str, str]
    folders: Mapping[str, Traversable]


def registry() -> Registry:
    """All cards.

    Raises:
        ZooError: A file of cards is faulty, or two of them have the same name.
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
                for name, found in read_cards(file.read_text(encoding="utf-8"), file.name, owner).items():
                    _refuse_duplicate(name, owner, cards, renamed)
                    cards[name], folders[name] = found, folder
                    for old in found.deprecated:
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
            message = f"{owner} promises cards in {point.value}, which cannot be imported: {error}"
            raise ZooError(message) from error
        yield owner, folder
    if local.is_dir():
        yield f"this machine ({local})", local


def _refuse_duplicate(name: str, owner: str, cards: Mapping[str, Card], renamed: Mapping[str, str]) -> None:
    if name in cards or name in renamed:
        first = cards[renamed.get(name, name)].owner
        message = (
            f"two cards have the name '{name}': one of {first} and one of {owner}\n  hint: remove or rename one of them"
        )
        raise ZooError(message)


def forget() -> None:
    """Read all cards anew when they are asked for next."""
    _collect.cache_clear()


def list_models(pattern: str = "*") -> list[str]:
    """The names of all models that match a glob, sorted.

    >>> list_models("cifar10/resnet*")
    ['cifar10/resnet110', 'cifar10/resnet20', 'cifar10/resnet32', 'cifar10/resnet44', 'cifar10/resnet56']
    """
    return sorted(name for name in registry().cards if fnmatchcase(name, pattern))


def card(name: str) -> Card:
    """The card of a model.

    A name without a tag means the model's first card. A name from before a renaming still works, with a warning.

    Raises:
        ZooError: There is no model of that name, or it has no such tag.

    >>> card("cifar10/resnet20").builder
    'distill_vision.models.resnet20'
    """
    known = registry()
    name = str(name)
    if found := known.cards.get(name):
        return found
    if new := known.renamed.get(name):
        warnings.warn(f"the zoo calls '{name}' now '{new}'", FutureWarning, stacklevel=2)
        return known.cards[new]
    model, tag = split_tag(name)
    siblings = [each for each in known.cards.values() if each.model == model]
    if siblings and not tag:
        return siblings[0]
    if siblings:
        tags = ", ".join(f"'{each.name}'" for each in siblings)
        message = f"'{model}' has no weights with the tag '{tag}'\n  hint: choose from {tags}"
        raise ZooError(message)
    message = f"the zoo has no model '{name}'\n  hint: {did_you_mean(name, known.cards)}"
    raise ZooError(message)


def beside(name: str, file: str) -> Traversable:
    """A file that lies beside the card's own."""
    folder = registry().folders.get(name)
    if folder is None or ".." in file.split("/") or file.startswith("/"):
        message = f"{name}: there is no file '{file}' beside its card"
        raise ZooError(message)
    return folder / file
