"""Management of cached files: find, verify, remove."""

from __future__ import annotations

import shutil
from pathlib import Path

from ._cards import card as find_card
from ._download import cache_path, check, pin_path, present
from ._errors import ZooError
from ._hub import hub_file
from ._lock import locked
from ._settings import cache_folder


def cached(name: str) -> Path | None:
    """Return the path of a model's file if it is on this machine, without verifying it, and None otherwise.

    Raises:
        ZooError: The model is unknown.
    """
    card = find_card(name)
    if card.embedded:
        return present(card, cache_folder())
    if card.weights.repo:
        try:
            return hub_file(card, local=True)
        except ZooError:
            return None
    path = cache_path(card, cache_folder())
    return path if path.is_file() else None


def verify(name: str) -> Path | None:
    """Return the path of a model's file if it is on this machine and its hash is right, and None if it is missing.

    Raises:
        ZooError: The model is unknown, or the file has the wrong size or hash.
    """
    path = cached(name)
    if path is not None:
        check(find_card(name), path, cache_folder())
    return path


def remove(name: str) -> bool:
    """Delete the downloaded file of a model and its pinned hash. Return whether there was a file.

    Raises:
        ZooError: The model is unknown, or its file belongs to an installed package.
    """
    card = find_card(name)
    if card.embedded:
        message = f"{card.name} is part of the installed {card.owner} and cannot be removed"
        raise ZooError(message)
    file = cached(name)
    if card.weights.repo:
        if file is not None:
            file.resolve().unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        pin_path(card, cache_folder()).unlink(missing_ok=True)
        return file is not None
    folder = cache_path(card, cache_folder()).parent
    if not folder.is_dir():
        return False
    with locked(folder):
        pin = pin_path(card, cache_folder())
        for path in (file, pin, *folder.glob(".unfinished-*")):
            if path is not None:
                path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return file is not None
