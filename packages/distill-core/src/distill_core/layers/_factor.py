"""Paraphraser and translator of factor transfer, which compress features to fewer channels."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ._convolution import require_statistics


class Paraphraser(nn.Module):
    """A convolutional autoencoder of the teacher's feature; its code is the teacher's factor.

    Encoder: three 3×3 convolutions, C → C → k·C → k·C; decoder: three transposed ones back. Each is followed by batch
    normalisation if requested, and LeakyReLU(0.1).

    Args:
        in_channels: Channels C of the teacher's feature.
        rate: The paraphrase rate k; the factor has `round(k · C)` channels.
        batch_norm: Normalise after each convolution. The authors' published code does not.

    >>> import torch
    >>> paraphraser = Paraphraser(8, rate=0.5)
    >>> paraphraser.encode(torch.zeros(2, 8, 4, 4)).shape, paraphraser(torch.zeros(2, 8, 4, 4)).shape
    (torch.Size([2, 4, 4, 4]), torch.Size([2, 8, 4, 4]))
    """

    def __init__(self, in_channels: int, rate: float = 0.5, *, batch_norm: bool = False) -> None:
        super().__init__()
        self.factor_channels = round(in_channels * rate)
        self.encoder = _encoder(in_channels, self.factor_channels, batch_norm)
        channels = (self.factor_channels, self.factor_channels, in_channels, in_channels)
        self.decoder = _stack(nn.ConvTranspose2d, channels, batch_norm)

    def encode(self, features: Tensor) -> Tensor:
        """Return the factor (batch, round(k · C), height, width) of a feature (batch, C, height, width)."""
        return _run(self.encoder, features)

    def forward(self, features: Tensor) -> Tensor:
        """Return the feature (batch, C, height, width) rebuilt from its factor."""
        return _run(self.decoder, self.encode(features))


class Translator(nn.Module):
    """The student's side of factor transfer, with the structure of a paraphraser's encoder.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's factor.
        batch_norm: Normalise after each convolution.

    >>> import torch
    >>> Translator(6, 4)(torch.zeros(2, 6, 4, 4)).shape
    torch.Size([2, 4, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, *, batch_norm: bool = False) -> None:
        super().__init__()
        self.encoder = _encoder(in_channels, out_channels, batch_norm)

    def forward(self, features: Tensor) -> Tensor:
        """Return the factor (batch, out, height, width) of a feature (batch, in, height, width)."""
        return _run(self.encoder, features)


def _encoder(in_channels: int, out_channels: int, batch_norm: bool) -> nn.Sequential:
    return _stack(nn.Conv2d, (in_channels, in_channels, out_channels, out_channels), batch_norm)


def _stack(
    convolution: type[nn.Conv2d | nn.ConvTranspose2d], channels: tuple[int, ...], batch_norm: bool
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers.append(convolution(before, after, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)


def _run(stack: nn.Sequential, features: Tensor) -> Tensor:
    """Apply the stack to features of any precision."""
    require_statistics(features, stack)
    result: Tensor = stack(features.to(next(stack.parameters()).dtype))
    return result
