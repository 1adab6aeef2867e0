"""Reading of text files and their lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from distill_core.errors import DataError

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "zip",
}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, without its byte order mark.

    Raises:
        DataError: The file cannot be opened, is compressed, is not UTF-8 or holds NUL bytes.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(message) from error
    for head, kind in _COMPRESSED.items():
        if raw.startswith(head):
            message = f"{path} is compressed ({kind})"
            raise DataError(message, hint="decompress it first")
    if raw.startswith(_UTF_16):
        message = f"{path} must be UTF-8, got UTF-16"
        raise DataError(message, hint="convert the file with `iconv -f UTF-16 -t UTF-8`")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf_8(path, raw, error.start) from error
    if "\0" in text:
        raise _not_utf_8(path, raw, raw.index(b"\0"))
    return text


def split_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield the number and the text of each line. Numbers start at 1.

    Lines are separated by ``\n`` or ``\r\n`` only. Other separators of Unicode (U+2028, U+0085, form feeds) are text.

    >>> list(split_lines("a\r\nb\u2028c"))
    [(1, 'a'), (2, 'b\u2028c')]
    """
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, line.removesuffix("\r")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file as `split_lines` does.

    Raises:
        DataError: `read_text` refuses the file.
    """
    return split_lines(read_text(path))


def _not_utf_8(path: Path, raw: bytes, at: int) -> DataError:
    line, start = raw.count(b"\n", 0, at) + 1, raw.rfind(b"\n", 0, at) + 1
    message = f"{path}:{line}: byte {at - start + 1} of the line (0x{raw[at]:02x}) is not UTF-8 text"
    return DataError(message, hint="convert the file, for example with `iconv -f LATIN1 -t UTF-8`")
