"""Writing of a safetensors file and its SHA-256 in one pass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import DistillError
from ..records import Fingerprint, write_hashed

# In the order of the library, which writes wide types first so that every tensor is aligned.
_NAMES = {
    torch.uint64: "U64", torch.int64: "I64", torch.float64: "F64", torch.complex64: "C64", torch.float32: "F32",
    torch.uint32: "U32", torch.int32: "I32", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint16: "U16",
    torch.int16: "I16", torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip
_ORDER = {dtype: number for number, dtype in enumerate(_NAMES)}
_CHUNK = 8 << 20


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> Fingerprint:
    """Write contiguous tensors of the CPU to a `.safetensors` file; return its size and SHA-256 without reading it back.

    Raises:
        DistillError: The format has no type for a tensor.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES or tensor.layout is not torch.strided:
            message = f"'{name}' is a tensor of {tensor.dtype} and {tensor.layout}, which safetensors files cannot hold"
            raise DistillError(message)
    ordered = dict(sorted(tensors.items(), key=lambda item: (_ORDER[item[1].dtype], item[0])))
    return write_hashed(path, _pieces(ordered, metadata or {}))


def _pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[memoryview]:
    yield memoryview(_header(tensors, metadata))
    for tensor in tensors.values():
        if tensor.numel():
            elements: Any = tensor.detach().reshape(-1).view(torch.uint8).numpy()
            content = memoryview(elements)
            for begin in range(0, len(content), _CHUNK):
                yield content[begin : begin + _CHUNK]


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the length and the JSON that begin a file; its tensors follow in the order given."""
    entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
