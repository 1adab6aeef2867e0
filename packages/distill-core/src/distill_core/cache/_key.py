"""Keys of caches: everything that the content of a cache depends on, as one hash."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Key:
    """Everything that a cache's content depends on; if one part differs, it is another cache.

    Attributes:
        parts: Name of a part → its value, or the hash of its value.

    >>> key = Key({"seed": "0", "codec": "float32"})
    >>> key.differences(Key({"seed": "1", "codec": "float32"}))
    ['seed']
    """

    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of all parts."""
        return hashlib.sha256(json.dumps(dict(self.parts), sort_keys=True).encode()).hexdigest()

    def differences(self, other: Key) -> list[str]:
        """Return the names of the parts that differ."""
        names = self.parts.keys() | other.parts.keys()
        return sorted(name for name in names if self.parts.get(name) != other.parts.get(name))


def hash_tensors(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes.

    >>> hash_tensors([("a", torch.zeros(2))]) == hash_tensors([("a", torch.zeros(2, 1))])
    False
    """
    total = hashlib.sha256()
    for name, tensor in tensors:
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(bytes_of(tensor))
    return total.hexdigest()


def bytes_of(tensor: Tensor) -> Any:
    """Return the bytes of the elements in row-major order, as a buffer that is not copied."""
    flat = tensor.detach().to("cpu").contiguous().view(-1)
    return flat.view(torch.uint8).numpy() if flat.numel() else b""


def hash_rows(tensors: Iterable[Tensor], rows: int) -> Tensor:
    """Return a hash of each row of a batch that depends on every bit of the row and not on the rest of the batch.

    Only floating-point tensors are included: those that an augmentation changes.

    Args:
        tensors: Each (rows, …).
        rows: Number of rows.

    Returns:
        (rows,) int64.
    """
    total = torch.zeros(rows, dtype=torch.int64)
    for index, tensor in enumerate(tensors):
        if not tensor.is_floating_point() or tensor.dim() < 2 or len(tensor) != rows:
            continue
        kind = {8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()]
        bits = tensor.detach().contiguous().view(kind).flatten(1)
        factors = _factors(bits.shape[1], index, bits.dtype, bits.device)
        total = total.to(tensor.device) + (bits * factors).sum(1)
    return total


@functools.lru_cache(maxsize=64)
def _factors(count: int, index: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return fixed odd numbers, one per element."""
    drawn = np.random.Generator(np.random.PCG64(index)).integers(0, 2**30, count) * 2 + 1
    return torch.from_numpy(drawn).to(torch.int32 if dtype == torch.int16 else dtype).to(device)
