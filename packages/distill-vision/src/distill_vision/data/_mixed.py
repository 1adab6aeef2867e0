"""Whole batches mixed: images with each other, and their labels as probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor

from ..transforms import Mix


def mix_batches(mix: Mix | None, num_classes: int) -> Callable[[dict[str, Any], Tensor], dict[str, Any]] | None:
    """What a loader's `mix` is to be, if anything is mixed."""
    return None if mix is None else MixBatch(mix, num_classes)


@final
class MixBatch:
    """Mixes `input` and `target` of a batch; `target` becomes probabilities, as `nn.CrossEntropyLoss` takes them.

    Args:
        mix: `Mixup` or `CutMix`, for example.
        num_classes: How many classes there are.
    """

    def __init__(self, mix: Mix, num_classes: int) -> None:
        self.mix = mix
        self.num_classes = num_classes

    def __call__(self, batch: dict[str, Any], seeds: Tensor) -> dict[str, Any]:
        """The batch with `input` (batch, channels, height, width) mixed and `target` (batch, num_classes) float32."""
        target = F.one_hot(batch["target"], self.num_classes).float()
        images, target = self.mix(batch["input"], target, seeds)
        return batch | {"input": images, "target": target}
