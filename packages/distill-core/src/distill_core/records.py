"""Atomic writes of the files of a run, and their fingerprints."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from .errors import DataError


class Fingerprint(TypedDict):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


def write_record(path: Path, content: str | bytes) -> None:
    """Write a file atomically: a crash leaves the old file or the new one.

    Args:
        path: The file.
        content: The content; text is written as UTF-8.
    """
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    put_in_place(unfinished, path)


def read_record(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        DataError: The file is not a JSON object.
    """
    return parse_record(path.read_bytes(), str(path))


def parse_record(content: bytes, name: str) -> dict[str, Any]:
    """Return a JSON object from its text; `name` is the subject of the error.

    Raises:
        DataError: The text is not a JSON object.
    """
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        message = f"{name} is not a JSON object, so it is damaged or comes from elsewhere"
        raise DataError(message, hint="restore it from a copy, or train again in another folder")
    return record


def strict_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """Return strict JSON: numbers that are not finite become null.

    Args:
        value: What `json.dumps` takes.
        indent: Its `indent`.
        **options: Its other options.

    >>> strict_json({"top1": float("nan"), "loss": 0.5})
    '{"top1": null, "loss": 0.5}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def put_in_place(unfinished: Path, path: Path) -> None:
    """Rename a complete file after its content has been flushed to disk."""
    sync(unfinished)
    os.replace(unfinished, path)
    sync(path.parent)


def write_hashed(path: Path, content: Iterable[memoryview]) -> Fingerprint:
    """Write bytes to a file, neither atomically nor synced; return its size and SHA-256 without reading it back.

    The global interpreter lock is released while a piece is hashed and written.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("wb", buffering=0) as file:
        for piece in content:
            digest.update(piece)
            size += len(piece)
            left = piece
            while len(left):
                left = left[file.write(left) :]
    return {"bytes": size, "sha256": digest.hexdigest()}


def fingerprint(path: Path) -> Fingerprint:
    """Return the size and the SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
