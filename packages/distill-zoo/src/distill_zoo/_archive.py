"""Safe extraction of one file from a zip or tar archive: no links, no path outside, bounded size."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, NoReturn

from ._errors import ZooError

MOST_FILES = 10_000
MOST_RATIO = 200
"""Largest accepted ratio of unpacked to packed size. Contents of up to `SMALL` bytes are always accepted."""
SMALL = 50_000_000
CHUNK = 1 << 20
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


class NoMatchError(ZooError):
    """An intact archive in which no file, or more than one, matches the pattern."""


def extract(name: str, archive: Path, member: str, target: Path) -> None:
    """Extract the one file of an archive that matches a glob to `target`.

    All entries are checked first. One unsafe entry refuses the archive.

    Args:
        name: The model's name, for error messages.
        archive: A zip or tar file, compressed or not.
        member: A glob for the path within the archive.

    Raises:
        ZooError: The file is not an archive, an entry is not a regular file or folder or points outside, the content is
            too large, or not exactly one file matches.
    """
    where = f"{name}: {archive}"
    try:
        if zipfile.is_zipfile(archive):
            _from_zip(where, archive, member, target)
        else:
            _from_tar(where, archive, member, target)
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, ValueError) as error:
        target.unlink(missing_ok=True)
        message = f"{where} is not a readable archive: {error}"
        raise ZooError(message) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _from_zip(where: str, archive: Path, member: str, target: Path) -> None:
    most = _limit(archive)
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        _check_count(where, len(entries))
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR) and not entry.flag_bits & 1
            _check_entry(where, entry.orig_filename, plain=plain)
        if sum(entry.file_size for entry in entries) > most:
            _refuse_growth(where, most)
        chosen = _choose(where, member, [entry.filename for entry in entries if not entry.is_dir()])
        with opened.open(chosen) as source, target.open("wb") as file:
            _copy(where, source, file, most)


def _from_tar(where: str, archive: Path, member: str, target: Path) -> None:
    with archive.open("rb") as file:
        head = file.read(6)
    opener = next((opener for mark, opener in _OPENERS.items() if head.startswith(mark)), Path.open)
    names: list[str] = []
    with opener(archive, "rb") as stream:
        for entry in _entries(where, stream, _limit(archive)):
            _check_entry(where, entry.name, plain=(entry.isreg() and not entry.issparse()) or entry.isdir())
            names += [entry.name] if entry.isreg() else []
            _check_count(where, len(names))
    chosen = _choose(where, member, names)
    with opener(archive, "rb") as stream:
        bounded = _Bounded(where, stream, _limit(archive))
        with tarfile.open(fileobj=bounded, mode="r|") as opened:  # type: ignore[call-overload]
            for entry in opened:
                source = opened.extractfile(entry) if entry.name == chosen else None
                if source is not None:
                    with target.open("wb") as file:
                        _copy(where, source, file, _limit(archive))
                    return


def _entries(where: str, stream: IO[bytes], most: int) -> list[tarfile.TarInfo]:
    bounded = _Bounded(where, stream, most)
    with tarfile.open(fileobj=bounded, mode="r|") as opened:  # type: ignore[call-overload]
        entries = list(opened)
    bounded.drain()
    return entries


class _Bounded:
    """A stream that raises once more than a given number of bytes is read."""

    def __init__(self, where: str, stream: IO[bytes], most: int) -> None:
        self.where, self.stream, self.most, self.left = where, stream, most, most

    def read(self, size: int) -> bytes:
        if size > self.left:
            _refuse_growth(self.where, self.most)
        data = self.stream.read(size)
        self.left -= len(data)
        return data

    def drain(self) -> None:
        """Read to the end, where a compressed stream keeps its checksum."""
        while self.read(min(CHUNK, self.left) or 1):
            pass


def _limit(archive: Path) -> int:
    return max(SMALL, MOST_RATIO * archive.stat().st_size)


def _check_count(where: str, count: int) -> None:
    if count > MOST_FILES:
        message = f"{where} has more than {MOST_FILES} entries"
        raise ZooError(message)


def _check_entry(where: str, path: str, *, plain: bool) -> None:
    parts = path.replace("\\", "/").split("/")
    if path.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in path or "\\" in path:
        message = f"{where} has an entry outside the archive: {path!r}"
        raise ZooError(message)
    if not plain:
        message = f"{where} has an entry that is neither a regular file nor a folder: {path!r}"
        raise ZooError(message)


def _refuse_growth(where: str, most: int) -> NoReturn:
    message = f"{where} would unpack to more than {most} bytes"
    raise ZooError(message)


def _choose(where: str, member: str, names: list[str]) -> str:
    matches = [name for name in names if fnmatchcase(name, member)]
    if len(matches) == 1:
        return matches[0]
    shown = ", ".join(sorted(matches or names)[:20])
    count = f"{len(matches)} files match" if matches else "no file matches"
    message = f"{where}: {count} '{member}'"
    raise NoMatchError(message, hint=f"{'matching' if matches else 'available'} files: {shown}")


def _copy(where: str, source: IO[bytes], target: IO[bytes], most: int) -> None:
    written = 0
    while chunk := source.read(CHUNK):
        written += len(chunk)
        if written > most:
            _refuse_growth(where, most)
        target.write(chunk)
