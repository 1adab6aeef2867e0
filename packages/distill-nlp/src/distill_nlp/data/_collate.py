"""Collate function for samples of different lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@final
class PadCollate:
    """Collate function that pads the token fields to the longest sample and stacks the others.

    Args:
        padding: Token field → its padding value.
        side: The padded side.

    >>> batch = PadCollate({"input_ids": 0})([{"input_ids": [5, 6], "target": 1}, {"input_ids": [7], "target": 0}])
    >>> batch["input_ids"].tolist(), batch["target"].tolist()
    ([[5, 6], [7, 0]], [1, 0])
    """

    def __init__(self, padding: Mapping[str, int], side: Literal["left", "right"] = "right") -> None:
        self.padding = dict(padding)
        self.side = side

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return the batch, (batch, longest) per token field."""
        return {name: self._field(name, [sample[name] for sample in samples]) for name in samples[0]}

    def _field(self, name: str, values: list[Any]) -> Tensor:
        if name not in self.padding:
            return torch.tensor(values)
        rows = [torch.as_tensor(row) for row in values]
        return pad_sequence(rows, batch_first=True, padding_value=self.padding[name], padding_side=self.side)
