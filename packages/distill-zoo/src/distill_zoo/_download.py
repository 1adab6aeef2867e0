"""Download of weight files into a cache, with a check of size and hash at every use."""

from __future__ import annotations

import hashlib
import os
import ssl
from contextlib import suppress
from pathlib import Path

from ._archive import NoMatchError, extract
from ._atomic import atomic_path
from ._card import Card
from ._cards import beside
from ._cards import card as find_card
from ._errors import ZooError
from ._fetch import Request, discard, fetch
from ._hub import hub_file
from ._lock import locked
from ._progress import Progress, for_terminal, silent
from ._settings import cache_folder, is_offline, mirrors
from ._sniff import require_format


def download(name: str) -> Path:
    """Return the path of a model's weight file, and download the file unless it is on this machine.

    The cache is the folder `weights` in `DISTILL_HOME`, which defaults to `~/.cache/distill`. `DISTILL_OFFLINE=1` disables
    downloads. If no hash is published, the hash of the first download is pinned and every later use must match it.

    Raises:
        ZooError: The model is unknown, the download failed, or the file has the wrong size or hash.
    """
    card = find_card(name)
    return obtain(card, cache_folder(), progress=for_terminal(card.name))


def obtain(card: Card, folder: Path, *, context: ssl.SSLContext | None = None, progress: Progress = silent) -> Path:
    """Return the card's file, downloaded to `folder` if it is missing.

    Args:
        context: The accepted certificates. Defaults to the system's.
        progress: Called while the download advances.

    Raises:
        ZooError: See `download`.
    """
    if path := present(card, folder):
        return path
    if card.weights.repo:
        path = hub_file(card)
        check(card, path, folder)
        return path
    path = cache_path(card, folder)
    if is_offline():
        message = f"{card.name}: {path} does not exist and DISTILL_OFFLINE is set"
        raise ZooError(message, hint=f"download {card.weights.origin} to that path")
    with locked(path.parent):
        if not path.is_file():  # another process may have downloaded it while this one waited
            _download_to(card, folder, path, context, progress)
    return path


def present(card: Card, folder: Path) -> Path | None:
    """Return the card's file if it is on this machine, and check it. Never access the network.

    Raises:
        ZooError: The file has the wrong size or hash.
    """
    if card.embedded:
        path = _embedded(card)
    elif card.weights.repo:
        try:
            path = hub_file(card, local=True)
        except ZooError:
            return None
    else:
        path = cache_path(card, folder)
        if not path.is_file():
            return None
    check(card, path, folder)
    return path


def cache_path(card: Card, folder: Path) -> Path:
    """Return the path of the card's file in the cache, whether or not it exists."""
    return folder / card.name / card.weights.filename


def pin_path(card: Card, folder: Path) -> Path:
    """Return the path that keeps the pinned hash of a file without a published one."""
    path = cache_path(card, folder)
    return path.with_name(path.name + ".sha256")


def _embedded(card: Card) -> Path:
    path = beside(card.name, card.weights.file)
    if not isinstance(path, Path) or not path.is_file():
        message = f"{card.name}: {path}, a file of {card.owner}, does not exist"
        raise ZooError(message, hint=f"reinstall {card.owner}")
    return path


def check(card: Card, path: Path, folder: Path) -> None:
    """Check the size and hash of a file. Pin the hash if none is published.

    Raises:
        ZooError: The file has the wrong size, hash or format.
    """
    size = path.stat().st_size
    if card.weights.bytes not in (None, size):
        message = f"{card.name}: {path} must have {card.weights.bytes} bytes, got {size}"
        raise ZooError(message, hint="delete it and try again")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = _expected(card, folder)
    if expected and not digest.startswith(expected):
        message = f"{card.name}: the SHA-256 of {path} must be {_shown(expected)}, got {digest}"
        raise ZooError(message, hint="delete it and try again")
    if len(expected) < 64:
        require_format(card.name, path, card.weights.format)
        _pin(pin_path(card, folder), digest)


def _pin(pin: Path, digest: str) -> None:
    # A read-only cache is pinned by its owner.
    with suppress(PermissionError), atomic_path(pin) as unfinished:
        unfinished.write_text(digest + "\n", encoding="ascii")


def _expected(card: Card, folder: Path) -> str:
    """Return the published or pinned hash, or its published beginning."""
    pin = pin_path(card, folder)
    pinned = pin.read_text(encoding="ascii").strip() if pin.is_file() else ""
    return card.weights.sha256 or pinned or card.weights.sha256_prefix


def _shown(expected: str) -> str:
    return expected if len(expected) == 64 else f"{expected}…"


def _download_to(card: Card, folder: Path, path: Path, context: ssl.SSLContext | None, progress: Progress) -> None:
    """Download the file from the first address that serves it, check it, then move it to its path."""
    unfinished = path.with_name(".unfinished-" + path.name)
    problems: list[ZooError] = []
    for url in [*(f"{mirror}/{card.name}/{path.name}" for mirror in mirrors()), card.weights.url]:
        try:
            if card.weights.member and url == card.weights.url:
                _unpack(card, folder, unfinished, context, progress)
            else:
                known = card.weights.sha256 is not None
                fetch(
                    Request(name=card.name, url=url, bytes=card.weights.bytes, resumable=known, context=context),
                    unfinished,
                    progress,
                )
            _accept(card, folder, url, unfinished)
        except ZooError as problem:
            problems.append(problem)
        else:
            os.replace(unfinished, path)
            return
    if len(problems) == 1:
        raise problems[0]
    hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
    raise ZooError("\n".join(problem.message for problem in problems), hint=", or ".join(hints))


def _accept(card: Card, folder: Path, url: str, unfinished: Path) -> None:
    with unfinished.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = _expected(card, folder)
    if expected and not digest.startswith(expected):
        discard(unfinished)
        message = f"{card.name}: the SHA-256 of {url} must be {_shown(expected)}, got {digest}"
        raise ZooError(message)
    if len(expected) < 64:
        try:
            require_format(card.name, unfinished, card.weights.format)
        except ZooError:
            discard(unfinished)
            raise
        _pin(pin_path(card, folder), digest)


def _unpack(card: Card, folder: Path, target: Path, context: ssl.SSLContext | None, progress: Progress) -> None:
    """Extract the file from its archive, which is kept for other cards with files in it."""
    name = hashlib.sha256(card.weights.url.encode()).hexdigest()[:16]
    archive = folder / ".archives" / name / card.weights.url.rpartition("/")[2]
    with locked(archive.parent):
        if not archive.is_file():
            unfinished = archive.with_name(".unfinished-" + archive.name)
            fetch(Request(name=card.name, url=card.weights.url, context=context), unfinished, progress)
            os.replace(unfinished, archive)
    try:
        extract(card.name, archive, card.weights.member, target)
    except NoMatchError:
        raise
    except ZooError:  # the next attempt downloads it again
        archive.unlink(missing_ok=True)
        raise
