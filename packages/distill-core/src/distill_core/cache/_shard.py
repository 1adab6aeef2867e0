"""A shard: rows of several tensors in one memory-mapped safetensors file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
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


class Shard:
    """The tensors of a file, mapped and not read: a gather of rows touches only their pages.

    Args:
        path: A safetensors file.
        writable: Whether rows may be written; they reach the file.

    Attributes:
        tensors: Part → (rows, …).
        metadata: Texts that were stored with it.

    Raises:
        DataError: It is no such file, or shorter than it should be.
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
            message = f"{path} is damaged: it has {size:,} bytes, and its header tells of {8 + length + last:,}"
            raise DataError(message)
        data = torch.from_file(str(path), shared=writable, size=size, dtype=torch.uint8)[8 + length :]
        self.tensors: dict[str, Tensor] = {
            name: data[entry["data_offsets"][0] : entry["data_offsets"][1]]
            .view(_TYPES[entry["dtype"]])
            .view(entry["shape"])
            for name, entry in header.items()
        }

    @classmethod
    def create(cls, path: Path, like: Mapping[str, Tensor], rows: int, metadata: Mapping[str, str]) -> Shard:
        """A new file of zeros; if another process has made it meanwhile, that one.

        Args:
            path: Where.
            like: Part → a tensor whose first dimension is the batch: type and shape of a row are taken from it.
            rows: How many rows.
            metadata: Texts to keep with it.

        Raises:
            DataError: It cannot be written: the disk is full, or the folder may not be written.
        """
        header = _header(like, rows, metadata)
        size = len(header) + sum(rows * part[0].numel() * part.element_size() for part in like.values())
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(header)
                file.flush()
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, not a signal later
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
        """How many rows there are."""
        return len(next(iter(self.tensors.values())))

    def read(self, rows: Tensor, *, leave_out: str = "") -> dict[str, Tensor]:
        """The rows (batch,) of every part but one: one gather each."""
        return {name: tensor.index_select(0, rows) for name, tensor in self.tensors.items() if name != leave_out}

    def write(self, rows: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Store the rows (batch,) of every part.

        Raises:
            DataError: They are not of the shape or type of the rows before.
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
        """Wait until what was written is on the disk."""
        handle = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _header(like: Mapping[str, Tensor], rows: int, metadata: Mapping[str, str]) -> bytes:
    """The beginning of a safetensors file; wide types first, so that each tensor is aligned to its type."""
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
