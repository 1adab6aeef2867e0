"""Knowledge adaptation for segmentation (KTAAD): match translated features and the affinities between positions.

    stage 1:  L = mean over all elements of ( D(E(t)) − t )² + α · mean over samples of ‖E(t)‖₁        E, D: translator
    stage 2, adaptation, d = A(s)/‖A(s)‖_q − E(t)/‖E(t)‖_q                          A: 3×3 convolution, normalisation, ReLU
        paper:  L = mean over samples and positions of ‖d‖_p,   norms over the channels at a position
        code:   L = mean over all elements of |d|^p,   norms over a sample's whole feature
    stage 2, affinity, G(f)ᵢⱼ = cos( fᵢ, fⱼ )/m for the m positions of a map        C: 3×3 convolution
        paper:         L = mean over samples of sum over positions i of ‖G(C(s))ᵢ − G(E(t))ᵢ‖₂
        torchdistill:  L = mean over samples of sum over channels c of ‖H(C(s))c − H(E(t))c‖_F,   H(f)cᵢⱼ = f̂cᵢ f̂cⱼ / m,
                       f̂c: channel c divided by its norm over the positions

The authors have not published code. `code` is what torchdistill computes; its weight of 50 is meant for it. All losses
hold the same translator, a `Paraphraser`. In stage 2 no gradient flows to it and it stays in evaluation mode. List what
learns: `train: [student, losses.adapt.adapter, losses.affinity.adapter]`. Maps of two sizes are brought to the smaller
one by average pooling. The affinity needs memory in proportion to m².

The statistics of batch normalisation, in A and in a translator that has it, are those of the process's own batch.

Use: semantic segmentation, with a first stage that trains a translator of the teacher's feature.
Taps: the last maps of both models: `student.classifier.high_classifier` and `teacher.classifier.-1`.

Paper: Knowledge Adaptation for Efficient Semantic Segmentation
Authors: Tong He, Chunhua Shen, Zhi Tian, Dong Gong, Changming Sun, Youliang Yan
Venue: CVPR
Year: 2019
Link: https://arxiv.org/abs/1903.04688
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    NormalisedConv,
    Paraphraser,
    at_least_float32,
    one_of,
    pool_to_smaller,
    reduction_scope_of,
    require_same_shape,
    unit_length,
    without_autocast,
)
from ..ranges import NonNegativeFloat, PositiveInt, Range, checked
from ..registry import register

Mode = Literal["paper", "code"]
Affinity = Literal["paper", "torchdistill"]


def knowledge_adaptation(
    student: Tensor, teacher: Tensor, p: float = 1.0, q: float = 2.0, mode: Mode = "paper"
) -> Tensor:
    """Return the distance of two translated features.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but height and width may differ.
        p: Order of the norm of the difference, ≥ 1.
        q: Order of the norm to divide by, ≥ 1.
        mode: `paper` or `code`, see the formulas above.
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    if mode == "code":
        student, teacher = student.flatten(1), teacher.flatten(1)
    difference = F.normalize(student, p=q, dim=1) - F.normalize(teacher, p=q, dim=1)
    size = torch.linalg.vector_norm(difference, ord=p, dim=1) if mode == "paper" else difference.abs() ** p
    return torch.mean(size)


def affinity_distance(student: Tensor, teacher: Tensor, mode: Affinity = "paper") -> Tensor:
    """Return the distance of the similarities of all pairs of positions.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but channels (`paper`), height and width may differ.
        mode: `paper` or `torchdistill`, see the formulas above.
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    if mode == "torchdistill":
        return _channel_affinities(student, teacher)
    ours, theirs = (unit_length(feature.flatten(2), dim=1) for feature in (student, teacher))
    with without_autocast(ours):
        difference = torch.bmm(ours.mT, ours) - torch.bmm(theirs.mT, theirs)
    distance: Tensor = torch.linalg.vector_norm(difference, dim=2).sum(1).mean()
    return distance / ours.shape[2]


def _channel_affinities(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the distance of the products of each channel.

    ‖a aᵀ − b bᵀ‖² = |a|⁴ + |b|⁴ − 2 (a·b)², so the matrices of all pairs of positions are not needed.
    """
    require_same_shape(student, teacher)
    ours, theirs = (unit_length(feature.flatten(2), dim=2) for feature in (student, teacher))
    products = (ours * theirs).sum(2).square()
    squares = ours.square().sum(2).square() + theirs.square().sum(2).square() - 2 * products
    positive = squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt() * (squares > 0)
    return positive.sum(1).mean() / ours.shape[2]


@final
@register
class KTAutoencoderLoss(nn.Module):
    """Stage 1 of knowledge adaptation (He et al. 2019): the translator learns to reconstruct the teacher's feature.

    Args:
        translator: The autoencoder to train.
        sparsity: α.

    >>> KTAutoencoderLoss(Paraphraser(4))(torch.ones(2, 4, 3, 3)).shape
    torch.Size([])
    """

    reduction_scope: str = "sample"
    """`local` with batch normalisation in the translator."""

    @checked
    def __init__(self, translator: Paraphraser, sparsity: NonNegativeFloat = 1e-7) -> None:
        super().__init__()
        self.translator = translator
        self.reduction_scope = reduction_scope_of(translator)
        self.sparsity = sparsity

    def forward(self, teacher: Tensor) -> Tensor:
        """Return the scalar loss of a feature (batch, channels, height, width)."""
        code = self.translator.encode(teacher.detach())
        rebuilt = at_least_float32(self.translator.decoder(code))
        size = at_least_float32(code).abs().sum() / len(code)
        return F.mse_loss(rebuilt, at_least_float32(teacher.detach())) + self.sparsity * size


@final
@register
class KTALoss(nn.Module):
    """Stage 2 of knowledge adaptation (He et al. 2019): the student's adapted feature matches the teacher's translated one.

    Args:
        translator: The autoencoder trained in stage 1, constant here.
        p: Order of the norm of the difference, ≥ 1.
        q: Order of the norm to divide by, ≥ 1.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        mode: `paper` or `code`, see the formulas above.

    >>> KTALoss(Paraphraser(8))(torch.ones(2, 6, 3, 3), torch.ones(2, 8, 3, 3)).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "local"

    @checked
    def __init__(
        self,
        translator: Paraphraser,
        p: Annotated[float, Range(min=1)] = 1.0,
        q: Annotated[float, Range(min=1)] = 2.0,
        student_channels: PositiveInt | None = None,
        mode: Mode = "paper",
    ) -> None:
        super().__init__()
        self.translator = translator
        self.adapter = NormalisedConv(student_channels, translator.factor_channels, kernel_size=3)
        self.p, self.q = p, q
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, channels, height, width)."""
        with torch.no_grad():
            code = self.translator.encode(teacher)
        return knowledge_adaptation(F.relu(self.adapter(student)), code, self.p, self.q, self.mode)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the adapter only. The translator is constant and keeps its batch statistics."""
        super().train(mode)
        self.translator.eval()
        return self


@final
@register
class AffinityLoss(nn.Module):
    """Affinity distillation, the other loss of stage 2 of knowledge adaptation (He et al. 2019).

    Args:
        translator: The autoencoder trained in stage 1, constant here.
        student_channels: Channels of the student's feature; inferred on first use if omitted.
        mode: `paper` or `torchdistill`, see the formulas above.

    >>> AffinityLoss(Paraphraser(8))(torch.ones(2, 6, 3, 3), torch.ones(2, 8, 3, 3)).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self, translator: Paraphraser, student_channels: PositiveInt | None = None, mode: Affinity = "paper"
    ) -> None:
        super().__init__()
        self.translator = translator
        self.mode = one_of("mode", mode, Affinity)
        out_channels = translator.factor_channels
        self.adapter: nn.Conv2d = (
            nn.LazyConv2d(out_channels, kernel_size=3, padding=1)
            if student_channels is None
            else nn.Conv2d(student_channels, out_channels, kernel_size=3, padding=1)
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the scalar loss of two features (batch, channels, height, width)."""
        with torch.no_grad():
            code = self.translator.encode(teacher)
        return affinity_distance(self.adapter(student.to(self.adapter.weight.dtype)), code, self.mode)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the adapter only. The translator is constant and keeps its batch statistics."""
        super().train(mode)
        self.translator.eval()
        return self
