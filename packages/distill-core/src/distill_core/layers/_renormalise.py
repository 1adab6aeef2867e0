"""Wrapper for a model that expects another normalisation or resolution than the batch has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Renormalise(nn.Module):
    """Wrapper that renormalises images prepared for another model.

        x' = (x · std + mean − own_mean) / own_std,  then resized

    Computed on the device with one multiplication and one addition. Modules of the model are tapped below
    `model`: `teacher.model.layer3`.

    Args:
        model: Model that receives the images.
        mean: Mean of each channel that the images were normalised with.
        std: Standard deviation of each channel that the images were normalised with.
        own_mean: Mean of each channel that the model expects.
        own_std: Standard deviation of each channel that the model expects.
        size: Height and width that the model expects; not resized if omitted.

    >>> layer = Renormalise(nn.Identity(), [0.5], [0.5], [0.0], [1.0])
    >>> layer(torch.tensor([[[[-1.0, 1.0]]]]))
    tensor([[[[0., 1.]]]])
    """

    factor: Tensor
    shift: Tensor

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        own_mean: Sequence[float],
        own_std: Sequence[float],
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.size = tuple(size) if size is not None else None
        given, own = torch.tensor([mean, std]), torch.tensor([own_mean, own_std])
        self.register_buffer("factor", (given[1] / own[1]).view(-1, 1, 1), persistent=False)
        self.register_buffer("shift", ((given[0] - own[0]) / own[1]).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the model's output for images (batch, channels, height, width)."""
        images = images * self.factor + self.shift
        if self.size is not None and images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True, align_corners=False)
        given: Tensor = self.model(images)
        return given
