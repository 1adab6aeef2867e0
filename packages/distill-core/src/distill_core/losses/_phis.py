"""PHI standardisation (PHI-S): give every channel of a teacher's features mean 0 and variance 1 by one rotation and scale.

    Σ = U · diag(λ) · Uᵀ, the covariance of the teacher's features;   H: orthogonal, its entries ± 1/√C (Hadamard)
    t' = ( t − μ ) · Wᵀ,   W = H · Uᵀ / √(mean of λ)
    L = mean over all elements of ( r(s) − t' )²

The rotation spreads the variance evenly over the channels, so that all have variance 1, without the distortion of
whitening. With several foundation models as teachers, each has its own term, and none dominates because of its scale.
r is a linear map over the channels, learned with the student; the transform can be inverted, see `isotropic_transform`.

μ and Σ are fitted once, on features of a sample of the data that are given to the loss. The channels must be a power of 2,
alone or times q + 1 with a prime q = 3 mod 4 (Paley), as 384, 768, 1024, 1280 and 1536 are. The authors' code
(NVlabs/RADIO, examples/common) has further constructions for others, and a random rotation that is only nearly even. It
takes the smallest Paley matrix where this one takes the largest, and the signs of eigenvectors as they come: other
rotations with the same effect.

unverified: the golden values are of the authors' statements for the transform, retyped, and the paper's loss.

Use: features of one or several foundation models whose scales differ.
Taps: the features of each model; one term for each teacher.

Paper: PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation
Authors: Mike Ranzinger, Jon Barker, Greg Heinrich, Pavlo Molchanov, Bryan Catanzaro, Andrew Tao
Venue: ICLR
Year: 2025
Link: https://arxiv.org/abs/2410.01680
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..layers import Regressor, at_least_float32, without_autocast
from ..ranges import PositiveInt, checked
from ..registry import register
from ._fitnet import hint_mse


def hadamard(size: int) -> Tensor:
    """Return an orthogonal matrix (size, size) whose entries are all ± 1/√size, in float64.

    Raises:
        ValueError: If Sylvester's and Paley's first construction give none of this size.

    >>> hadamard(2) * 2**0.5
    tensor([[ 1.,  1.],
            [ 1., -1.]], dtype=torch.float64)
    """
    odd = 1 if size.bit_count() == 1 else size
    while odd > 1 and not _is_paley(odd):
        if odd % 2:
            message = f"a Hadamard matrix of size {size} is not available: the number of channels must be a power of 2 times 1, or times q + 1 with a prime q = 3 mod 4"
            raise ValueError(message)
        odd //= 2
    matrix = _paley(odd - 1) if odd > 1 else torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    orthogonal: Tensor = matrix / size**0.5
    return orthogonal


def isotropic_transform(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return μ (channels,) and W (channels, channels) of PHI-S; the inverse of W is its transpose times the mean variance.

    Args:
        features: (samples, channels), at least two samples.

    Returns:
        Two tensors in float64. The largest entry of each eigenvector counts as positive.
    """
    if features.dim() != 2 or len(features) < 2:
        message = f"`features` must be (samples, channels) of at least 2 samples, got {tuple(features.shape)}"
        raise ValueError(message)
    rows = features.detach().double()
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / (len(rows) - 1)
    values, vectors = torch.linalg.eigh(covariance)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    vectors = vectors * largest.sign()  # the sign of an eigenvector depends on the library
    scale = values.clamp(min=0).mean().sqrt().clamp(min=1e-12)
    return mean, hadamard(len(covariance)).to(rows.device) @ vectors.T / scale


@final
@register
class PHISLoss(nn.Module):
    """Feature matching with a PHI-standardised teacher (Ranzinger et al. 2025).

    Args:
        features: Features of the teacher (samples, channels), from which μ and W are fitted.
        student_channels: Channels of the student's features; inferred on first use if omitted.

    >>> loss = PHISLoss(torch.eye(4))
    >>> loss(torch.ones(2, 3), torch.ones(2, 4)).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "sample"
    mean: Tensor
    matrix: Tensor

    @checked
    def __init__(self, features: Tensor, student_channels: PositiveInt | None = None) -> None:
        super().__init__()
        mean, matrix = isotropic_transform(features)
        self.regressor = Regressor(student_channels, len(mean))
        self.register_buffer("mean", mean.float())
        self.register_buffer("matrix", matrix.float())

    def standardised(self, teacher: Tensor) -> Tensor:
        """Return t' of the teacher's features: maps, sequences or vectors; in at least float32."""
        channels = 1 if teacher.dim() == 4 else -1
        features = at_least_float32(teacher.detach()).movedim(channels, -1)
        matrix = self.matrix.to(features.dtype)
        with without_autocast(features):
            return ((features - self.mean.to(features.dtype)) @ matrix.T).movedim(-1, channels)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features: maps, sequences or vectors."""
        return hint_mse(self.regressor(student, like=teacher), self.standardised(teacher))


def _is_paley(size: int) -> bool:
    prime = size - 1
    return prime % 4 == 3 and all(prime % factor for factor in range(2, int(prime**0.5) + 1))


def _paley(prime: int) -> Tensor:
    """Return the Hadamard matrix of Paley's first construction (prime + 1, prime + 1)."""
    squares = {number * number % prime for number in range(1, prime)}
    signs = torch.tensor([0.0] + [1.0 if number in squares else -1.0 for number in range(1, prime)]).double()
    numbers = torch.arange(prime)
    matrix = torch.eye(prime + 1, dtype=torch.float64)
    matrix[0, 1:], matrix[1:, 0] = 1, -1
    matrix[1:, 1:] += signs[(numbers[:, None] - numbers) % prime]
    return matrix
