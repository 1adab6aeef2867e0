"""Distillation from a stronger adaptive teacher (DIST+): DIST on logits plus correlations of a feature map.

    ρ: Pearson's correlation
    L = DIST of the logits
      + ι · ( 1 − mean over samples and channels of ρ over the positions )
      + κ · ( 1 − mean over samples and positions of ρ over the channels )

    torchdistill:  ι · mean over samples and positions of ρ over the channels
                 + κ · ( 1 − mean over positions of ρ over the batch, of features summed over their channels )

Both terms of the features are 1 − ρ and vanish where student and teacher agree, but with `torchdistill` the first is ρ,
which pushes the features apart. The feature maps have equal channels. If heights or widths differ, they are brought to the
smaller size by average pooling. The paper was not available. The paper's other half, a teacher that is itself trained towards the student, is a separate
training stage and not part of this loss.

Several processes gather their batches of logits. The features need no gathering.

Use: classifiers whose feature maps have equal numbers of channels.
Taps: lists of the logits and a feature map: `[student, student.layer4]`.

Paper: DIST+: Knowledge Distillation From a Stronger Adaptive Teacher
Authors: Tao Huang, Shan You, Fei Wang, Chen Qian, Chang Xu
Venue: TPAMI
Year: 2025
Link: https://doi.org/10.1109/TPAMI.2025.3554235
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import at_least_float32, one_of, pool_to_smaller, require_same_shape
from ..ranges import NonNegativeFloat, PositiveFloat, checked
from ..registry import register
from ._dist import correlation_losses, pearson

Mode = Literal["paper", "torchdistill"]


def feature_correlations(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 − ρ over positions, averaged over channels, and 1 − ρ over channels, averaged over positions.

    Args:
        student: (batch, channels, height, width).
        teacher: The same, but height and width may differ.

    Returns:
        Two tensors (batch,).
    """
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher.detach()))
    require_same_shape(student, teacher)
    ours, theirs = student.flatten(2), teacher.flatten(2)
    return 1 - pearson(ours, theirs, dim=2).mean(1), 1 - pearson(ours, theirs, dim=1).mean(1)


@final
@register
class DISTPlusLoss(nn.Module):
    """Distillation from a stronger adaptive teacher (Huang et al. 2025), without adapting the teacher.

    Args:
        beta: β, weight of the rows of the logits.
        gamma: γ, weight of the columns of the logits.
        iota: ι, the weight of the correlations over positions, per channel.
        kappa: κ, the weight of the correlations over channels, per position.
        temperature: τ > 0 of the logits.
        mode: `paper`, or `torchdistill`, see the formulas above.

    >>> import torch
    >>> logits, feature = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.randn(2, 3, 4, 4)
    >>> DISTPlusLoss()([logits, feature], [3 * logits, 3 * feature]).round(decimals=4).abs()
    tensor(0.)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        beta: NonNegativeFloat = 1.0,
        gamma: NonNegativeFloat = 1.0,
        iota: NonNegativeFloat = 1.0,
        kappa: NonNegativeFloat = 1.0,
        temperature: PositiveFloat = 1.0,
        mode: Mode = "paper",
    ) -> None:
        super().__init__()
        self.beta, self.gamma = beta, gamma
        self.iota, self.kappa = iota, kappa
        self.temperature = temperature
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of logits (batch, classes) and a feature (batch, channels, height, width)."""
        (logits, feature), (goal, model) = student, teacher
        inter, intra = correlation_losses(gather_batch(logits), gather_batch(goal.detach()), self.temperature)
        if self.mode == "torchdistill":
            channels, positions = _batch_correlations(gather_batch(feature), gather_batch(model.detach()))
        else:
            channels, positions = (gather_batch(loss).mean() for loss in feature_correlations(feature, model))
        return self.beta * inter + self.gamma * intra + self.iota * channels + self.kappa * positions


def _batch_correlations(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return ρ over the channels, and 1 − ρ over the batch of features summed over the channels; both scalars."""
    student, teacher = pool_to_smaller(at_least_float32(student), at_least_float32(teacher))
    require_same_shape(student, teacher)
    ours, theirs = student.flatten(2), teacher.flatten(2)
    return pearson(ours, theirs, dim=1).mean(), 1 - pearson(ours.sum(1), theirs.sum(1), dim=0).mean()
