"""Detection of file formats by their first bytes, before anything parses the file."""

from __future__ import annotations

from pathlib import Path

from ._card import Format
from ._errors import ZooError

ZIP = b"PK\x03\x04"
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before 1.6
MOST_HEADER = 100_000_000
_KINDS = {
    b"<": "an HTML or XML page",
    b"\x80": "a pickle, which can run code",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"{": "JSON or a pickle",
    b"PK": "a zip archive",
}


def require_format(name: str, path: Path, kind: Format) -> None:
    """Check that a file begins like one of the given format.

    Raises:
        ZooError: It does not.
    """
    if mismatch := format_mismatch(path, kind):
        message = f"{name}: {path} is not a {kind} file: {mismatch}"
        raise ZooError(message)


def format_mismatch(path: Path, kind: Format) -> str:
    """Return a description of the file's content if it does not begin like the given format, else an empty string."""
    with path.open("rb") as file:
        head = file.read(32)
    if kind == "torch":
        fits = head.startswith((ZIP, LEGACY_TORCH))
    else:
        length = int.from_bytes(head[:8], "little")
        fits = head[8:9] == b"{" and length <= min(MOST_HEADER, path.stat().st_size - 8)
    return "" if fits else f"it is {_describe(head)}"


def _describe(head: bytes) -> str:
    if not head:
        return "empty"
    known = (kind for mark, kind in _KINDS.items() if head.lstrip().startswith(mark))
    return next(known, f"an unknown format that begins with {head[:8]!r}")
