"""The size of the data that a model with a bottleneck sends."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._sums import AbstractMean


@final
class DataSize(AbstractMean):
    """The mean number of bytes that are sent per sample.

        metric: !import_call:distill_vision.metrics.DataSize {quantized: true}
        inputs: {sent: student.bottleneck_layer.encoder}

    Args:
        quantized: Whether the numbers are sent as 8 bits, with scale and offset per sample; see
            `distill_vision.models.quantize`.

    >>> size = DataSize()
    >>> size.update(torch.zeros(2, 12, 28, 28))
    >>> size.compute()
    37632.0
    """

    def __init__(self, *, quantized: bool = False) -> None:
        super().__init__(torch.float64)
        self.quantized = quantized

    def update(self, sent: Tensor | None = None, bits: Tensor | None = None) -> None:
        """Add a batch: the numbers that are sent, or the bits of each sample.

        Args:
            sent: (batch, …) output of an encoder.
            bits: (batch,) numbers of bits; `report:out.bits` of `distill_vision.models.EntropicBottleneck`.

        Raises:
            DataError: Both are given, or none.
        """
        if (sent is None) == (bits is None):
            message = "`DataSize` takes either `sent` or `bits`"
            raise DataError(message, hint="name one of them in `inputs`")
        if bits is not None:
            self._add_samples(bits.detach() / 8)
        elif sent is not None:
            count = sent[0].numel() if len(sent) else 0
            size = count + 8 if self.quantized else count * sent.element_size()
            self._add_samples(torch.full((len(sent),), float(size), device=sent.device))
