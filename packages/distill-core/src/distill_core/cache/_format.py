"""Conversion of the values of a teacher's taps to rows of tensors and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from ._codecs import Codec


@dataclass(frozen=True)
class Leaf:
    """One tensor of a value.

    Attributes:
        name: Its tap and its position in the value, `layer1` or `layer1/0`.
        dtype: The type of the teacher's tensor.
        order: The dimensions in memory order; a row is stored in this order.
    """

    name: str
    dtype: torch.dtype
    order: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """True if the rows are contiguous in memory."""
        return self.order == tuple(range(len(self.order)))


class Format:
    """The conversion of the values of taps to the parts to store, and back.

    Args:
        trees: Tap → the structure of its value: the index of a leaf, or a list or mapping of trees.
        leaves: All tensors.
        codec: The codec of floating-point tensors, or a codec per tap; other tensors are stored unchanged.
    """

    def __init__(self, trees: Mapping[str, Any], leaves: Sequence[Leaf], codec: Codec | Mapping[str, Codec]) -> None:
        self.trees, self.leaves, self.codec = dict(trees), tuple(leaves), codec

    @classmethod
    def of(cls, values: Mapping[str, Any], rows: int, codec: Codec | Mapping[str, Codec]) -> Format:
        """Return the format of the values of a batch of `rows` samples.

        Raises:
            DataError: A value is not a tensor or a list or mapping of tensors, or does not have one row per sample.
        """
        leaves: list[Leaf] = []
        trees = {tap: _tree(value, tap, rows, leaves) for tap, value in values.items()}
        return cls(trees, leaves, codec)

    def encode(self, values: Mapping[str, Any], seeds: Tensor) -> dict[str, Tensor]:
        """Return the parts to store, each with one row per sample."""
        parts: dict[str, Tensor] = {}
        for tap, tree in self.trees.items():
            for leaf, tensor in self._tensors(tree, values[tap]):
                if leaf.dtype.is_floating_point:
                    encoded = self._codec(tap).encode(tensor.detach(), seeds)
                else:
                    encoded = {"values": tensor}
                for part, stored in encoded.items():
                    parts[f"{leaf.name}#{part}"] = self._permuted(stored, leaf)
        return parts

    def decode(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the values by tap."""
        return {tap: self._value(tree, parts, self._codec(tap)) for tap, tree in self.trees.items()}

    def to_text(self) -> str:
        """Return everything but the codec as JSON."""
        leaves = [[leaf.name, str(leaf.dtype).removeprefix("torch."), leaf.order] for leaf in self.leaves]
        return json.dumps({"trees": self.trees, "leaves": leaves})

    @classmethod
    def from_text(cls, text: str, codec: Codec | Mapping[str, Codec]) -> Format:
        """Return the format that `to_text` wrote."""
        read = json.loads(text)
        leaves = [Leaf(name, getattr(torch, dtype), tuple(order)) for name, dtype, order in read["leaves"]]
        return cls(read["trees"], leaves, codec)

    def _codec(self, tap: str) -> Codec:
        return self.codec[tap] if isinstance(self.codec, Mapping) else self.codec

    def _permuted(self, stored: Tensor, leaf: Leaf) -> Tensor:
        return stored.permute(leaf.order) if stored.dim() == len(leaf.order) else stored

    def _tensors(self, tree: Any, value: Any) -> list[tuple[Leaf, Tensor]]:
        if isinstance(tree, int):
            return [(self.leaves[tree], value)]
        if isinstance(tree, list):
            return [pair for below, part in zip(tree, value, strict=True) for pair in self._tensors(below, part)]
        return [pair for key, below in tree.items() for pair in self._tensors(below, value[key])]

    def _value(self, tree: Any, parts: Mapping[str, Tensor], codec: Codec) -> Any:
        if isinstance(tree, list):
            return [self._value(below, parts, codec) for below in tree]
        if isinstance(tree, dict):
            return {key: self._value(below, parts, codec) for key, below in tree.items()}
        leaf = self.leaves[tree]
        prefix = leaf.name + "#"
        encoded = {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}
        if not leaf.is_plain:
            back = [leaf.order.index(position) for position in range(len(leaf.order))]
            encoded = {name: part.permute(back) if part.dim() == len(back) else part for name, part in encoded.items()}
        return codec.decode(encoded, leaf.dtype) if leaf.dtype.is_floating_point else encoded["values"]


def _tree(value: Any, name: str, rows: int, leaves: list[Leaf]) -> Any:
    if isinstance(value, Tensor):
        if value.dim() == 0 or len(value) != rows:
            message = (
                f"'{name or 'the output'}' cannot be cached: it is {tuple(value.shape)} for {rows} samples, "
                "and a cache holds one row per sample"
            )
            raise DataError(message)
        leaves.append(Leaf(name, value.dtype, _order(value)))
        return len(leaves) - 1
    fields = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", None)
    if fields and not isinstance(value, Mapping):
        message = (
            f"'{name or 'the output'}' cannot be cached: it is a {type(value).__name__}, and a cache gives back tensors, lists "
            f"and dicts"
        )
        raise DataError(message, hint=f"tap its fields, {' and '.join(map(repr, fields))}")
    if isinstance(value, list | tuple):
        return [_tree(part, f"{name}/{number}", rows, leaves) for number, part in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(key): _tree(part, f"{name}/{key}", rows, leaves) for key, part in value.items() if part is not None}
    message = f"'{name or 'the output'}' cannot be cached: it is of type {type(value).__name__}, not a tensor"
    raise DataError(message)


def _order(value: Tensor) -> tuple[int, ...]:
    """Return the dimensions in memory order, which is kept because the order of a sum may depend on it."""
    plain = tuple(range(value.dim()))
    strides = value.stride()
    order = (0, *sorted(plain[1:], key=lambda position: -strides[position]))
    return order if not value.is_contiguous() and value.permute(order).is_contiguous() else plain
