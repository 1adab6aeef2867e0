"""A cache: a folder of shards, one per view, of which existing rows are read and missing ones are written.

    FOLDER/teacher-<16 digits of the key>/key.json              everything that the content depends on
                                          view-0000.safetensors the rows of all samples
                                          view-0000.json        size, time of change and SHA-256, written last: the view is complete
                                          view-0000.0.rows      of an incomplete view: the rows that process 0 has written

Processes on one machine write different rows of the same mapped file. A row counts as written once it is on the disk and
then listed in a file `.rows`. A kill or a power failure costs at most the rows since the last `flush`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributed import rank
from ..errors import DataError
from ._key import Key
from ._shard import Shard


class Cache:
    """The encoded outputs of one model by view and sample.

    Args:
        folder: The folder of this model's caches.
        name: The model's name.
        key: Everything that the content depends on.
        rows: Number of samples.
        views: Number of views.

    Attributes:
        relatives: Folders of this model's other caches → the parts of the key that differ, the nearest first.

    Raises:
        DataError: The folder belongs to another key or cannot be created.
    """

    def __init__(self, folder: Path, name: str, key: Key, rows: int, views: int) -> None:
        self.folder = folder / f"{name}-{key.digest[:16]}"
        self.key, self.rows, self.views = key, rows, views
        self.relatives = _relatives(folder, name, key)
        self._shards: dict[int, Shard] = {}
        self._written: dict[int, Tensor] = {}
        self._dirty: set[int] = set()
        self._complete: set[int] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the cache {self.folder} cannot be created: {error.strerror}"
            raise DataError(message) from error
        self._check_key()

    def path(self, view: int) -> Path:
        """Return the file of a view."""
        return self.folder / f"view-{view:04}.safetensors"

    def is_complete(self, view: int) -> bool:
        """Return whether a view is complete.

        Its SHA-256 is computed only if size or time of change differ from those recorded with it.

        Raises:
            DataError: The file is damaged.
        """
        manifest = self.path(view).with_suffix(".json")
        if view not in self._complete and manifest.is_file():
            self._verify(view, manifest, trusts_stamp=True)
            self._complete.add(view)
        return view in self._complete

    def has(self, view: int, rows: Tensor) -> bool:
        """Return whether all these rows (batch,) of a view exist."""
        return view in self._complete or self.is_complete(view) or bool(self.written(view)[rows].all())

    def written(self, view: int) -> Tensor:
        """Return which rows of a view exist: (samples,) bool."""
        if self.is_complete(view):
            return torch.ones(self.rows, dtype=torch.bool)
        if view not in self._written:
            self._written[view] = self._read_rows(view)
        return self._written[view]

    def missing(self, view: int) -> Tensor:
        """Return the rows that no process had written to a view by its last `flush`."""
        self._written.pop(view, None)
        return (~self.written(view)).nonzero().view(-1)

    def read(self, view: int, rows: Tensor, *, omit: str = "") -> dict[str, Tensor]:
        """Return the rows (batch,) of each part, except the omitted one."""
        return self.shard(view).read(rows, omit=omit)

    def shard(self, view: int) -> Shard:
        """Return the mapped file of a view."""
        if view not in self._shards:
            self._shards[view] = Shard(self.path(view), writable=not self.is_complete(view))
        return self._shards[view]

    def write(self, view: int, rows: Tensor, parts: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Store rows (batch,); the first ones create the file.

        Raises:
            DataError: The disk is full, or the parts differ in shape or type from those before.
        """
        written = self.written(view)
        if view not in self._shards and not self.path(view).exists():
            self._shards[view] = Shard.create(self.path(view), parts, self.rows, metadata)
        self.shard(view).write(rows, parts)
        written[rows] = True
        self._dirty.add(view)

    def flush(self) -> None:
        """Write the stored rows to the disk."""
        for view in sorted(self._dirty):
            self.shard(view).sync()
            packed = np.packbits(self._written[view].numpy()).tobytes()
            _replace(self.folder / f"{self.path(view).stem}.{rank()}.rows", packed)
        self._dirty.clear()

    def seal(self, view: int) -> bool:
        """Mark a view as complete if no row is missing; called by one process after all others have flushed.

        Returns:
            Whether the view is complete.
        """
        self.flush()
        if self.is_complete(view):
            return True
        if len(self.missing(view)):
            return False
        path = self.path(view)
        self.shard(view).sync()
        stamp = _stamp(path)  # before the hash: a later change is noticed
        _write_manifest(path.with_suffix(".json"), {**stamp, "sha256": _digest(path), "rows": self.rows})
        for journal in self.folder.glob(f"{path.stem}.*.rows"):
            journal.unlink(missing_ok=True)
        self._complete.add(view)
        self.reload(view)
        return True

    def reload(self, view: int) -> None:
        """Discard the state of a view, which another process may have completed."""
        self._shards.pop(view, None)
        self._written.pop(view, None)

    def verify(self) -> list[int]:
        """Compare every complete view with its SHA-256, and return their indices.

        Raises:
            DataError: A view is damaged.
        """
        self._complete.clear()
        for view in range(self.views):
            manifest = self.path(view).with_suffix(".json")
            if manifest.is_file():
                self._verify(view, manifest, trusts_stamp=False)
                self._complete.add(view)
        return sorted(self._complete)

    def _verify(self, view: int, manifest: Path, *, trusts_stamp: bool) -> None:
        """Compare a complete view with its manifest; a new stamp of intact content is recorded.

        Raises:
            DataError: The view is damaged.
        """
        path = self.path(view)
        hint = f"remove {path} and {manifest.name} to build the view again"
        try:
            expected, stamp = json.loads(manifest.read_text()), _stamp(path)
            has_stamp = expected == {**expected, **stamp}
            is_intact = (has_stamp and trusts_stamp) or (
                expected["bytes"] == stamp["bytes"] and expected["sha256"] == _digest(path)
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{path} is damaged: the file or {manifest.name} is missing or unreadable"
            raise DataError(message, hint=hint) from error
        if not is_intact:
            message = f"{path} is damaged: its SHA-256 differs from the recorded one"
            raise DataError(message, hint=hint)
        if not has_stamp:
            with contextlib.suppress(OSError):  # a read-only cache is hashed by each run
                _write_manifest(manifest, {**expected, **stamp})

    def _read_rows(self, view: int) -> Tensor:
        written = np.zeros(self.rows, dtype=bool)
        if self.path(view).is_file():
            for journal in self.folder.glob(f"{self.path(view).stem}.*.rows"):
                packed = np.frombuffer(journal.read_bytes(), dtype=np.uint8)
                if len(packed) == -(-self.rows // 8):
                    written |= np.unpackbits(packed, count=self.rows).astype(bool)
        return torch.from_numpy(written)

    def _check_key(self) -> None:
        path = self.folder / "key.json"
        if not path.exists():
            _replace(path, json.dumps(dict(self.key.parts), indent=1, sort_keys=True).encode())
        found = _read_key(path)
        if found is None or found.differences(self.key):
            message = f"{self.folder} is not the cache of this key: {path.name} has another one"
            raise DataError(message, hint="remove the folder")


def stored_keys(folder: Path, name: str) -> dict[str, Key]:
    """Return the keys of a model's caches by the names of their folders."""
    found = {path.parent.name: _read_key(path) for path in sorted(folder.glob(f"{name}-*/key.json"))}
    return {folder: key for folder, key in found.items() if key is not None}


def _relatives(folder: Path, name: str, key: Key) -> dict[str, list[str]]:
    """Return other caches of this model: folder → the parts of the key that differ, the nearest first."""
    others = stored_keys(folder, name)
    found = {path: different for path, other in others.items() if (different := key.differences(other))}
    return dict(sorted(found.items(), key=lambda item: len(item[1])))


def _read_key(path: Path) -> Key | None:
    try:
        parts = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return Key(parts) if isinstance(parts, dict) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> dict[str, int]:
    """Return the size of a file and the time of its last change."""
    status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    _replace(path, json.dumps(manifest, indent=1).encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
