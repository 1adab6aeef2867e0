"""Where datasets and their files lie."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from distill_core.errors import DataError


def data_root(name: str) -> Path:
    """The folder of a data set: in the one that `DISTILL_DATA` names, otherwise in `~/.cache/distill/data`."""
    home = os.environ.get("DISTILL_DATA")
    return (Path(home).expanduser() if home else Path.home() / ".cache" / "distill" / "data") / name


def require_inside(name: str, where: str) -> None:
    """Check that a file's name, read from another file, leads nowhere outside the dataset's folder.

    Args:
        name: A path within the folder, `batch 1/photo.jpg` for example.
        where: Which file says so, for the message.

    Raises:
        DataError: The name is absolute, or has `..` in it.

    >>> require_inside("../secret.jpg", "train.txt")
    Traceback (most recent call last):
    distill_core.errors.DataError: train.txt: the path '../secret.jpg' leaves the folder of the images
      hint: give paths inside that folder, without '..'
    """
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        message = (
            f"{where}: the path '{name}' leaves the folder of the images"
            "\n  hint: give paths inside that folder, without '..'"
        )
        raise DataError(message)
