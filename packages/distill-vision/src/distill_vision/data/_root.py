"""Folders of datasets, and the paths of their files."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from distill_core.errors import DataError


def data_root(name: str) -> Path:
    """Return the folder of a dataset: in `DISTILL_DATA` if set, otherwise in `~/.cache/distill/data`."""
    home = os.environ.get("DISTILL_DATA")
    return (Path(home).expanduser() if home else Path.home() / ".cache" / "distill" / "data") / name


def require_inside(name: str, where: str) -> None:
    """Check that a file's name, read from another file, stays inside the dataset's folder.

    Args:
        name: A path within the folder, `batch 1/photo.jpg` for example.
        where: The file that contains the name, for the message.

    Raises:
        DataError: The name is absolute or contains `..`.

    >>> require_inside("../secret.jpg", "train.txt")
    Traceback (most recent call last):
    distill_core.errors.DataError: train.txt: the path '../secret.jpg' leaves the folder of the images
      hint: give paths inside that folder, without '..'
    """
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        message = f"{where}: the path '{name}' leaves the folder of the images"
        raise DataError(message, hint="give paths inside that folder, without '..'")
