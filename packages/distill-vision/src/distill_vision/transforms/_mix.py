"""Mixup and CutMix: values for `mix` of a data function.

A mix is a function of images (batch, channels, height, width), probabilities (batch, classes) and seeds (batch,) that
returns images and probabilities. Each sample is mixed with the previous one in its batch, as in torchvision, with a weight
determined by its seed. Because batches are in random order, the partner is random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from ._draw import draw_beta, draw_bits, draw_integers, draw_uniform

Mix = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

_OWN_DRAW = 1 << 33  # far from the draws of the augmentations, which have the same seeds


def _weights(seeds: Tensor, alpha: float, probability: float) -> Tensor:
    """Return the weight of each sample itself, (batch,); 1 if it is not mixed."""
    kept = draw_beta(seeds, _OWN_DRAW, alpha)
    return torch.where(draw_uniform(seeds, _OWN_DRAW + 1) < probability, kept, 1.0)


def _checked(alpha: float, probability: float) -> tuple[float, float]:
    if alpha <= 0 or not 0 <= probability <= 1:
        message = f"`alpha` must be > 0 and `probability` from 0 to 1, got {alpha} and {probability}"
        raise ValueError(message)
    return alpha, probability


def mixed(images: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight × sample + (1 − weight) × previous sample, for images and probabilities.

    Args:
        images: (batch, channels, height, width) floats.
        target: (batch, classes).
        weight: (batch,) from 0 to 1.

    >>> images, target = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.eye(2)
    >>> mixed(images, target, torch.tensor([0.75, 0.5]))[1].tolist()
    [[0.75, 0.25], [0.5, 0.5]]
    """
    return (
        torch.lerp(images.roll(1, 0), images, weight.to(images.dtype).view(-1, 1, 1, 1)),
        torch.lerp(target.roll(1, 0), target, weight.to(target.dtype).view(-1, 1)),
    )


def pasted(images: Tensor, target: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Paste a box of the previous image into each image, and mix the probabilities by area.

    Args:
        images: (batch, channels, height, width).
        target: (batch, classes).
        box: (4, batch) int64, left, top, right and bottom; the last two are exclusive.
    """
    height, width = images.shape[2:]
    left, top, right, bottom = box.unsqueeze(-1)
    x, y = (torch.arange(count, device=images.device) for count in (width, height))
    rows, columns = ((y >= top) & (y < bottom)).to(images.dtype), ((x >= left) & (x < right)).to(images.dtype)
    inside = rows.view(-1, 1, height, 1) * columns.view(-1, 1, 1, width)
    weight = 1 - rows.sum(1) * columns.sum(1) / (height * width)
    return (
        # `lerp` with weights 0 and 1 is many times faster than `where` on a CPU.
        torch.lerp(images, images.roll(1, 0), inside),
        torch.lerp(target.roll(1, 0), target, weight.to(target.dtype).view(-1, 1)),
    )


@final
class Mixup:
    """Weighted sums of two images and of their labels; the weight is drawn from Beta(alpha, alpha).

    Hongyi Zhang, Moustapha Cisse, Yann N. Dauphin, David Lopez-Paz. "mixup: Beyond Empirical Risk Minimization." ICLR
    2018. https://arxiv.org/abs/1710.09412. Each pair has its own weight, as in the paper.

    Args:
        alpha: Shape of the distribution, > 0; in the paper 0.2 for ImageNet and 1 for CIFAR.
        probability: Probability of mixing a sample.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 1.0) -> None:
        self.alpha, self.probability = _checked(alpha, probability)

    def __call__(self, images: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (batch, channels, height, width) and probabilities (batch, classes) by seeds (batch,) int64."""
        return mixed(images, target, _weights(seeds, self.alpha, self.probability))


@final
class CutMix:
    """Pastes a rectangle of another image into each image; labels are weighted by area.

    Sangdoo Yun, Dongyoon Han, Seong Joon Oh, Sanghyuk Chun, Junsuk Choe, Youngjoon Yoo. "CutMix: Regularization Strategy to
    Train Strong Classifiers with Localizable Features." ICCV 2019. https://arxiv.org/abs/1905.04899. The sides of
    the rectangle are √(1 − λ) of those of the image, λ from Beta(alpha, alpha). Its centre is random; it is clipped.

    Args:
        alpha: Shape of the distribution, > 0; 1 in the paper.
        probability: Probability of mixing a sample; 0.5 for CIFAR in the paper.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 1.0) -> None:
        self.alpha, self.probability = _checked(alpha, probability)

    def __call__(self, images: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (batch, channels, height, width) and probabilities (batch, classes) by seeds (batch,) int64."""
        return pasted(images, target, self.boxes(seeds, *images.shape[2:]))

    def boxes(self, seeds: Tensor, height: int, width: int) -> Tensor:
        """Return left, top, right and bottom of each sample's rectangle, (4, batch) int64."""
        half = (1 - _weights(seeds, self.alpha, self.probability)).sqrt() / 2
        x, y = draw_integers(seeds, _OWN_DRAW + 2, width), draw_integers(seeds, _OWN_DRAW + 3, height)
        across, down = (half * width).long(), (half * height).long()
        return torch.stack(
            [
                (x - across).clamp(min=0),
                (y - down).clamp(min=0),
                (x + across).clamp(max=width),
                (y + down).clamp(max=height),
            ]
        )


@final
class OneMix:
    """One of several mixes for each sample, drawn by its seed, for example Mixup or CutMix.

    Args:
        mixes: The mixes to draw from.
        weights: Relative frequency of each mix; by default all are equal.

    Raises:
        ValueError: The numbers of weights and mixes differ, or are 0.
    """

    def __init__(self, mixes: Sequence[Mix], weights: Sequence[float] | None = None) -> None:
        self.mixes = tuple(mixes)
        weights = [1.0] * len(self.mixes) if weights is None else weights
        if len(weights) != len(self.mixes) or not self.mixes:
            message = f"`weights` must have one number per mix, got {len(weights)} for {len(self.mixes)}"
            raise ValueError(message)
        self.ends = [math.fsum(weights[: index + 1]) / math.fsum(weights) for index in range(len(weights))]

    def __call__(self, images: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (batch, channels, height, width) and probabilities (batch, classes) by seeds (batch,) int64."""
        drawn = draw_uniform(seeds, _OWN_DRAW + 4)
        out, labels = self.mixes[-1](images, target, draw_bits(seeds, _OWN_DRAW + 4 + len(self.mixes)))
        for index in reversed(range(len(self.mixes) - 1)):
            others = self.mixes[index](images, target, draw_bits(seeds, _OWN_DRAW + 5 + index))
            chosen = drawn < self.ends[index]
            out = torch.where(chosen.view(-1, 1, 1, 1), others[0], out)
            labels = torch.where(chosen.view(-1, 1), others[1], labels)
        return out, labels
