"""Strict reader and writer of the safetensors format, with torch as the only dependency.

A file is the length of a header (8 bytes, little-endian), the header (JSON: name → dtype, shape, first and last byte) and the
bytes of the tensors, without gaps: https://github.com/huggingface/safetensors#format. It cannot hold code.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._atomic import atomic_path
from ._optional import optional
from ._sniff import MOST_HEADER

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a file.

    Raises:
        ValueError: The file is invalid.
    """
    torch = optional("torch", f"reading {path} requires torch")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MOST_HEADER, size - 8):
            message = "its header is longer than the file"
            raise ValueError(message)
        header = _header(file.read(length))
        data = bytearray(size - 8 - length)
        file.readinto(data)
    _check_cover([entry["data_offsets"] for entry in header.values()], len(data))
    return {name: _tensor(torch, name, entry, data) for name, entry in header.items()}


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_duplicates)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        message = f"its header is not JSON: {error}"
        raise ValueError(message) from error
    if not isinstance(header, dict):
        message = "its header is not a mapping"
        raise ValueError(message)
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not _is_entry(entry):
            message = f"its header has an invalid entry for '{name}'"
            raise ValueError(message)
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        message = "its header has a duplicate name"
        raise ValueError(message)
    return mapping


def _is_entry(entry: Any) -> bool:
    if (
        not isinstance(entry, dict)
        or entry.keys() != {"dtype", "shape", "data_offsets"}
        or entry["dtype"] not in DTYPES
    ):
        return False
    numbers = [entry["shape"], entry["data_offsets"]]
    valid = all(isinstance(each, list) and all(type(n) is int and n >= 0 for n in each) for each in numbers)
    return valid and len(entry["data_offsets"]) == 2 and len(entry["shape"]) <= 64


def _check_cover(offsets: list[list[int]], size: int) -> None:
    """Check that every byte belongs to exactly one tensor."""
    ordered = sorted(offsets)
    edges = [0, *(end for _, end in ordered)]
    if any(start != before for before, (start, _) in zip(edges, ordered, strict=False)) or edges[-1] != size:
        message = "its tensors overlap, leave gaps or do not end where the file ends"
        raise ValueError(message)
    if any(later < earlier for earlier, later in pairwise(edges)):
        message = "a tensor ends before it begins"
        raise ValueError(message)


def _tensor(torch: Any, name: str, entry: Mapping[str, Any], data: bytearray) -> Tensor:
    dtype = getattr(torch, DTYPES[entry["dtype"]])
    start, end = entry["data_offsets"]
    count = math.prod(entry["shape"])
    if count * dtype.itemsize != end - start:
        message = f"'{name}' of type {entry['dtype']} and shape {entry['shape']} has {end - start} bytes"
        raise ValueError(message)
    if not count:
        return torch.empty(entry["shape"], dtype=dtype)  # type: ignore[no-any-return]
    flat = torch.frombuffer(data, dtype=torch.uint8, count=end - start, offset=start)
    if flat.data_ptr() % dtype.itemsize:
        flat = flat.clone()
    return flat.view(dtype).reshape(entry["shape"])  # type: ignore[no-any-return]


def write_safetensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a file atomically.

    Raises:
        ValueError: A dtype is not supported.
    """
    names = {torch_name: name for name, torch_name in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    pieces, position = [], 0
    # The widest dtype first, so that each tensor is aligned.
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        dtype = names.get(str(tensor.dtype).removeprefix("torch."))
        if dtype is None:
            message = f"'{name}' has the dtype {tensor.dtype}, which safetensors files do not support"
            raise ValueError(message)
        piece = _bytes(tensor)
        header[name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, position + len(piece)],
        }
        pieces.append(piece)
        position += len(piece)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as unfinished, unfinished.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(pieces)


def _bytes(tensor: Tensor) -> bytes:
    torch = optional("torch", "writing tensors requires torch")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if not flat.numel():
        return b""
    data = bytearray(flat.numel() * flat.element_size())
    torch.frombuffer(data, dtype=torch.uint8).copy_(flat.view(torch.uint8))
    return bytes(data)
