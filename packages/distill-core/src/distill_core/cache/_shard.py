"""A shard: rows of several tensors in one memory-mapped safetensors file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _TYPES.items()}
_ALIGNMENT = 64
_PAGE = 4096
_READ_BYTES = 128 << 10
"""Bytes that Linux reads for one announcement."""


class Shard:
    """The memory-mapped tensors of a file: reading rows touches only their pages.

    Args:
        path: A safetensors file.
        writable: Whether writing rows changes the file.

    Attributes:
        tensors: Part → (rows, …).
        metadata: Strings stored in the file.
        num_bytes: Size of the file.

    Raises:
        DataError: The file is not a safetensors file, or has another size than its header says.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        size = path.stat().st_size
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(length)) if length < size else {}
            self.metadata: dict[str, str] = header.pop("__metadata__", {})
            last = max(entry["data_offsets"][1] for entry in header.values())
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            message = f"{path} is damaged: it does not begin as a safetensors file does"
            raise DataError(message) from error
        if 8 + length + last != size:
            message = f"{path} is damaged: it has {size:,} bytes, but its header describes {8 + length + last:,}"
            raise DataError(message)
        self.num_bytes, self._begin = size, 8 + length
        self._offsets = {name: entry["data_offsets"][0] for name, entry in header.items()}
        data = torch.from_file(str(path), shared=writable, size=size, dtype=torch.uint8)[8 + length :]
        self.tensors: dict[str, Tensor] = {
            name: data[entry["data_offsets"][0] : entry["data_offsets"][1]]
            .view(_TYPES[entry["dtype"]])
            .view(entry["shape"])
            for name, entry in header.items()
        }

    @classmethod
    def create(cls, path: Path, like: Mapping[str, Tensor], rows: int, metadata: Mapping[str, str]) -> Shard:
        """Create a file of zeros, or open it if another process has created it.

        Args:
            path: The file.
            like: Part → a tensor (batch, …) with the type and the shape of a row.
            rows: Number of rows.
            metadata: Strings to store in the file.

        Raises:
            DataError: The file cannot be written: the disk is full, or the folder is not writable.
        """
        header = _header(like, rows, metadata)
        size = len(header) + sum(rows * part[0].numel() * part.element_size() for part in like.values())
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(header)
                file.flush()
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk raises now instead of sending a signal later
            with contextlib.suppress(FileExistsError):
                os.link(unfinished, path)
        except OSError as error:
            message = f"the cache {path} of {size / 1e9:.2f} GB cannot be written: {error.strerror}"
            raise DataError(message) from error
        finally:
            unfinished.unlink(missing_ok=True)
        return cls(path, writable=True)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.tensors.values())))

    def read(self, rows: Tensor, *, omit: str = "") -> dict[str, Tensor]:
        """Return the rows (batch,) of each part, except the omitted one: one gather each."""
        return {name: tensor.index_select(0, rows) for name, tensor in self.tensors.items() if name != omit}

    def will_need(self, rows: Tensor, *, omit: str = "") -> None:
        """Let the operating system read the rows (batch,) of each part, except the omitted one, in the background."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            for name, tensor in self.tensors.items():
                if name != omit and tensor[0].numel():
                    size = tensor[0].numel() * tensor.element_size()
                    for start, stop in _ranges(rows.sort().values * size + self._begin + self._offsets[name], size):
                        os.posix_fadvise(handle, start, stop - start, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(handle)

    def write(self, rows: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Store the rows (batch,) of each part.

        Raises:
            DataError: Their shape or type differs from the rows before.
        """
        for name, tensor in self.tensors.items():
            part = parts[name].to("cpu")
            if part.shape[1:] != tensor.shape[1:] or part.dtype != tensor.dtype:
                message = (
                    f"a row of '{name}' is {tuple(part.shape[1:])} {part.dtype} now and was {tuple(tensor.shape[1:])} "
                    f"{tensor.dtype} before: a cache needs rows of one shape"
                )
                raise DataError(message, hint="pad all samples to one length, or run this teacher without a cache")
            tensor.index_copy_(0, rows, part)

    def sync(self) -> None:
        """Write the changes to the disk."""
        handle = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _ranges(starts: Tensor, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of bytes of rows of one size, whose pages are merged and which are divided as the system reads them.

    Args:
        starts: (rows,), the first byte of each row, ascending.
        size: Bytes of a row.
    """
    first, last = starts // _PAGE, (starts + size - 1) // _PAGE + 1
    begins = torch.cat([torch.ones(1, dtype=torch.bool), first[1:] > last[:-1]])
    ends = torch.cat([begins[1:], torch.ones(1, dtype=torch.bool)])
    for start, stop in zip((first[begins] * _PAGE).tolist(), (last[ends] * _PAGE).tolist(), strict=True):
        for begin in range(start, stop, _READ_BYTES):
            yield begin, min(begin + _READ_BYTES, stop)


def _header(like: Mapping[str, Tensor], rows: int, metadata: Mapping[str, str]) -> bytes:
    """Return the header of a safetensors file; wide types come first, so that each tensor is aligned to its type."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, part in sorted(like.items(), key=lambda item: (-item[1].element_size(), item[0])):
        size = rows * part[0].numel() * part.element_size()
        shape = [rows, *part.shape[1:]]
        entries[name] = {"dtype": _CODES[part.dtype], "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
