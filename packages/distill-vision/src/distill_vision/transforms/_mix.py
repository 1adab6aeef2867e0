"""Images mixed with each other, and their labels with them: what `mix` of a data function takes.

A mix is a function of images (batch, channels, height, width), probabilities (batch, classes) and seeds (batch,) that
gives images and probabilities. Each sample is mixed with the one before it in its batch, as in torchvision, by a share
that follows from its own seed; batches are in random order, so this is a random partner.
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


def _shares(seeds: Tensor, alpha: float, probability: float) -> Tensor:
    """How much of each sample is to stay, (batch,): all of it where it is not mixed."""
    kept = draw_beta(seeds, _OWN_DRAW, alpha)
    return torch.where(draw_uniform(seeds, _OWN_DRAW + 1) < probability, kept, 1.0)


def _checked(alpha: float, probability: float) -> tuple[float, float]:
    if alpha <= 0 or not 0 <= probability <= 1:
        message = f"alpha is above 0 and probability from 0 to 1, not {alpha} and {probability}"
        raise ValueError(message)
    return alpha, probability


def mixed(images: Tensor, target: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Share × sample + (1 − share) × the sample before it, of images and of probabilities.

    Args:
        images: (batch, channels, height, width) floats.
        target: (batch, classes).
        share: (batch,) from 0 to 1.

    >>> images, target = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.eye(2)
    >>> mixed(images, target, torch.tensor([0.75, 0.5]))[1].tolist()
    [[0.75, 0.25], [0.5, 0.5]]
    """
    return (
        torch.lerp(images.roll(1, 0), images, share.to(images.dtype).view(-1, 1, 1, 1)),
        torch.lerp(target.roll(1, 0), target, share.to(target.dtype).view(-1, 1)),
    )


def pasted(images: Tensor, target: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Each image with a box of the image before it, and the probabilities by the shares of the area.

    Args:
        images: (batch, channels, height, width).
        target: (batch, classes).
        box: (4, batch) int64, left, top, right and bottom; the last two are outside.
    """
    height, width = images.shape[2:]
    left, top, right, bottom = box.unsqueeze(-1)
    x, y = (torch.arange(count, device=images.device) for count in (width, height))
    rows, columns = ((y >= top) & (y < bottom)).to(images.dtype), ((x >= left) & (x < right)).to(images.dtype)
    inside = rows.view(-1, 1, height, 1) * columns.view(-1, 1, 1, width)
    share = 1 - rows.sum(1) * columns.sum(1) / (height * width)
    return (
        # Weights of 0 and 1 choose one of the two, many times faster than `where` on a CPU.
        torch.lerp(images, images.roll(1, 0), inside),
        torch.lerp(target.roll(1, 0), target, share.to(target.dtype).view(-1, 1)),
    )


@final
class Mixup:
    """Weighted sums of two images and of their labels, the weight drawn from Beta(alpha, alpha).

    Hongyi Zhang, Moustapha Cisse, Yann N. Dauphin, David Lopez-Paz. "mixup: Beyond Empirical Risk Minimization." ICLR
    2018. https://arxiv.org/abs/1710.09412. A weight for each pair, as there, not one for the batch.

    Args:
        alpha: Above 0; 0.2 for ImageNet and 1 for CIFAR in the paper.
        probability: How likely a sample is mixed at all.

    Raises:
        ValueError: One of them is not in its range.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 1.0) -> None:
        self.alpha, self.probability = _checked(alpha, probability)

    def __call__(self, images: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (batch, channels, height, width) and probabilities (batch, classes) by seeds (batch,) int64."""
        return mixed(images, target, _shares(seeds, self.alpha, self.probability))


@final
class CutMix:
    """A rectangle of another image pasted into each, the labels in the shares of the area.

    Sangdoo Yun, Dongyoon Han, Seong Joon Oh, Sanghyuk Chun, Junsuk Choe, Youngjoon Yoo. "CutMix: Regularization Strategy to
    Train Strong Classifiers with Localizable Features." ICCV 2019. https://arxiv.org/abs/1905.04899. The rectangle is as
    wide and high as √(1 − λ) of the image, λ from Beta(alpha, alpha), its middle anywhere; what sticks out is cut off.

    Args:
        alpha: Above 0; 1 in the paper.
        probability: How likely a sample is mixed at all; 0.5 for CIFAR in the paper.

    Raises:
        ValueError: One of them is not in its range.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 1.0) -> None:
        self.alpha, self.probability = _checked(alpha, probability)

    def __call__(self, images: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (batch, channels, height, width) and probabilities (batch, classes) by seeds (batch,) int64."""
        return pasted(images, target, self.boxes(seeds, *images.shape[2:]))

    def boxes(self, seeds: Tensor, height: int, width: int) -> Tensor:
        """Left, top, right and bottom of each sample's rectangle, (4, batch) int64."""
        half = (1 - _shares(seeds, self.alpha, self.probability)).sqrt() / 2
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
    """One of several mixes for each sample, drawn by its seed: Mixup or CutMix, for example.

    Args:
        mixes: To draw from.
        weights: How often each is drawn, in any unit; all as often if left out.

    Raises:
        ValueError: There are not as many weights as mixes.
    """

    def __init__(self, mixes: Sequence[Mix], weights: Sequence[float] | None = None) -> None:
        self.mixes = tuple(mixes)
        weights = [1.0] * len(self.mixes) if weights is None else weights
        if len(weights) != len(self.mixes) or not self.mixes:
            message = f"{len(self.mixes)} mixes have {len(weights)} weights"
            raise ValueError(message)
        self.ends = [math.fsum(weights[: number + 1]) / math.fsum(weights) for number in range(len(weights))]

    def __call__(self, images: Tensor, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (batch, channels, height, width) and probabilities (batch, classes) by seeds (batch,) int64."""
        drawn = draw_uniform(seeds, _OWN_DRAW + 4)
        out, labels = self.mixes[-1](images, target, draw_bits(seeds, _OWN_DRAW + 4 + len(self.mixes)))
        for number in reversed(range(len(self.mixes) - 1)):
            others = self.mixes[number](images, target, draw_bits(seeds, _OWN_DRAW + 5 + number))
            chosen = drawn < self.ends[number]
            out = torch.where(chosen.view(-1, 1, 1, 1), others[0], out)
            labels = torch.where(chosen.view(-1, 1), others[1], labels)
        return out, labels
