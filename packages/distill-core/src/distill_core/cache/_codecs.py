"""Codecs: how a teacher's tensors are stored, each a pair of functions on tensors.

A *dense* codec returns a tensor of the teacher's shape. A *sparse* one returns a mapping of a few entries of each row:
`log_probs` and `index` of the k most probable classes (the remaining probability is the tail bucket), or `weights` and
`index` of randomly drawn classes, whose weighted count is an unbiased estimate of the distribution.

Top-k with a tail and sampling: Anshumann et al. "Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs".
ACL 2025. https://arxiv.org/abs/2503.16870
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ..errors import DataError, did_you_mean


class Codec(Protocol):
    """The interface of codecs.

    Attributes:
        gives: The fields that a sparse codec returns; empty for a dense one, which returns a tensor.
    """

    gives: ClassVar[tuple[str, ...]]

    @property
    def name(self) -> str:
        """The codec's name in a file."""
        ...

    def encode(self, values: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return the parts to store of floating-point values (rows, …), with one seed per row; each part is (rows, …)."""
        ...

    def decode(self, parts: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
        """Return the value for a loss, in the teacher's floating-point type."""
        ...


@dataclass(frozen=True)
class Dense:
    """The tensor itself, in a floating-point type.

    >>> codec = Dense(torch.float16)
    >>> codec.decode(codec.encode(torch.tensor([[1.5, 2.0]]), torch.tensor([0])), torch.float32)
    tensor([[1.5000, 2.0000]])
    """

    dtype: torch.dtype
    gives: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The name of the type."""
        return str(self.dtype).removeprefix("torch.")

    def encode(self, values: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return one part, the values in the type."""
        del seeds
        return {"values": values.to(self.dtype)}

    def decode(self, parts: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
        """Return the values, rounded to the type and back."""
        return parts["values"].to(dtype)


@dataclass(frozen=True)
class Int8:
    """Integers from −127 to 127 with one scale per row, its greatest finite magnitude / 127; −128 encodes −∞.

    >>> codec = Int8()
    >>> codec.decode(codec.encode(torch.tensor([[127.0, -3.2], [0.0, 0.0]]), torch.tensor([0, 1])), torch.float32)
    tensor([[127.,  -3.],
            [  0.,   0.]])
    """

    gives: ClassVar[tuple[str, ...]] = ()
    name: ClassVar[str] = "int8"

    def encode(self, values: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return the integers and the scales."""
        del seeds
        rows = values.flatten(1).float()
        ruled_out = rows.isneginf()
        rows = rows.masked_fill(ruled_out, 0)
        scale = rows.abs().amax(1) / 127
        numbers = (
            (rows / torch.where(scale > 0, scale, 1.0)[:, None]).round().to(torch.int8).masked_fill(ruled_out, -128)
        )
        return {"values": numbers.view(values.shape), "scale": scale}

    def decode(self, parts: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
        """Return integer · scale."""
        numbers = parts["values"].float()
        values = numbers * parts["scale"].view(-1, *[1] * (numbers.dim() - 1))
        return values.masked_fill(numbers == -128, -torch.inf).to(dtype)


@dataclass(frozen=True)
class TopK:
    """Log-probabilities of the k most probable classes of the last dimension, not renormalised, and their indices.

    Args:
        k: Number of classes; all of them if they are fewer.

    >>> parts = TopK(1).encode(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([0]))
    >>> parts["index"], parts["log_probs"]
    (tensor([[1]], dtype=torch.int32), tensor([[-0.2395]]))
    """

    k: int
    gives: ClassVar[tuple[str, ...]] = ("log_probs", "index")

    @property
    def name(self) -> str:
        """`topk-8`."""
        return f"topk-{self.k}"

    def encode(self, values: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return `log_probs` (rows, …, k) float32 and `index` (rows, …, k) int32."""
        del seeds
        top = values.float().log_softmax(-1).topk(min(self.k, values.shape[-1]), -1)
        return {"log_probs": top.values, "index": top.indices.to(torch.int32)}

    def decode(self, parts: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
        """Return `log_probs` (rows, …, k) and `index` (rows, …, k) int64."""
        return {"log_probs": parts["log_probs"].to(dtype), "index": parts["index"].long()}


@dataclass(frozen=True)
class Sampled:
    """n classes drawn from the distribution of the last dimension with replacement, each with weight 1/n.

    The draws of a row are spread evenly over its cumulative distribution from one random offset (systematic sampling), so
    the expected weight of a class is its probability, and less noisy than with independent draws.

    Args:
        n: Number of classes.

    >>> Sampled(4).encode(torch.tensor([[9.0, 9.0, -99.0]]), torch.tensor([0]))["index"]
    tensor([[0, 0, 1, 1]], dtype=torch.int32)
    """

    n: int
    gives: ClassVar[tuple[str, ...]] = ("weights", "index")

    @property
    def name(self) -> str:
        """`sampled-64`."""
        return f"sampled-{self.n}"

    def encode(self, values: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return `index` (rows, …, n) int32."""
        cumulative = values.double().softmax(-1).cumsum(-1)
        rows = cumulative.shape[:-1]
        positions = torch.arange(rows[1:].numel(), device=values.device)
        offset = _uniform(seeds.to(values.device)[:, None], positions[None]).view(*rows, 1)
        steps = (torch.arange(self.n, device=values.device) + offset) / self.n
        total = cumulative[..., -1:]
        index = torch.searchsorted(cumulative, (steps * total).contiguous(), right=True)
        return {"index": index.clamp(max=values.shape[-1] - 1).to(torch.int32)}

    def decode(self, parts: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
        """Return `weights` (rows, …, n) and `index` (rows, …, n) int64."""
        index = parts["index"].long()
        return {"weights": torch.full(index.shape, 1 / self.n, dtype=dtype, device=index.device), "index": index}


SPARSE = TopK.gives + tuple(field for field in Sampled.gives if field not in TopK.gives)
"""The fields of all sparse codecs."""

_DENSE: dict[str, Codec] = {
    **{Dense(dtype).name: Dense(dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16)},
    "int8": Int8(),
}
_NUMBERED = re.compile(r"(topk|sampled)-([1-9][0-9]{0,6})")
NAMES = (*_DENSE, "topk-8", "sampled-64")
"""Names of codecs for a file; the numbers are examples."""


def codec_named(name: str) -> Codec:
    """Return the codec of a name: `float32`, `float16`, `bfloat16`, `int8`, `topk-8`, `sampled-64`.

    Raises:
        DataError: No codec has this name.

    >>> codec_named("topk-8")
    TopK(k=8)
    """
    if name in _DENSE:
        return _DENSE[name]
    if found := _NUMBERED.fullmatch(name):
        return TopK(int(found[2])) if found[1] == "topk" else Sampled(int(found[2]))
    message = f"there is no codec '{name}'"
    raise DataError(message, hint=did_you_mean(name, NAMES))


def _uniform(first: Tensor, second: Tensor) -> Tensor:
    """Return a number in [0, 1) for each pair, a hash of both (SplitMix64's finaliser)."""
    bits = (first * 0x1E3779B97F4A7C15 + second + 1) * -0x61C8864680B583EB
    bits = (bits ^ _shifted(bits, 30)) * -0x40A7B892E31B1A47
    bits = (bits ^ _shifted(bits, 27)) * -0x6B2FB644ECCEEE15
    return _shifted(bits ^ _shifted(bits, 31), 11).double() * 2.0**-53


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Return the bits shifted to the right, filled with zeros."""
    return (bits >> count) & ((1 << (64 - count)) - 1)
