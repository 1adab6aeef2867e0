"""Mixing within a batch: images with each other, and their labels as probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from ..transforms import Mix


def mix_batches(mix: Mix | None, num_classes: int) -> Callable[[dict[str, Any], Tensor], dict[str, Any]] | None:
    """Return the `mix` of a loader, or None if nothing is mixed."""
    return None if mix is None else MixBatch(mix, num_classes)


@final
class MixBatch:
    """Mixes `input` and `target` of a batch; `target` becomes probabilities, which `nn.CrossEntropyLoss` accepts.

    Args:
        mix: For example `Mixup` or `CutMix`.
        num_classes: Number of classes.
    """

    def __init__(self, mix: Mix, num_classes: int) -> None:
        self.mix = mix
        self.num_classes = num_classes

    def __call__(self, batch: dict[str, Any], seeds: Tensor) -> dict[str, Any]:
        """Return the batch with `input` (batch, channels, height, width) mixed and `target` (batch, num_classes) float32."""
        target = F.one_hot(batch["target"], self.num_classes).float()
        images, target = self.mix(batch["input"], target, seeds)
        return batch | {"input": images, "target": target}
