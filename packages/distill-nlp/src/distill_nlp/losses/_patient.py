"""Patient knowledge distillation (PKD): match the [CLS] hidden states of several layers.

    L = mean over samples of sum over layers of ‖ s / ‖s‖ − t / ‖t‖ ‖²

`PKD-Skip` pairs every other layer of the teacher, `PKD-Last` the last ones; the last layer of both is left to the
logits. The choice of taps decides. Both models have the same width. The authors' code (intersun/
PKD-for-BERT-Model-Compression) averages over layers and elements instead of summing, which makes its value 1/(layers ·
width) of this one, and it converts the normalised states to float16; the loss is computed in at least float32 here.

Use: encoders of equal width that classify, beside KD.
Taps: lists of the hidden states of paired layers.

Paper: Patient Knowledge Distillation for BERT Model Compression
Authors: Siqi Sun, Yu Cheng, Zhe Gan, Jingjing Liu
Venue: EMNLP
Year: 2019
Link: https://arxiv.org/abs/1908.09355
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.layers import at_least_float32, pairs, require_same_shape
from distill_core.registry import register


def normalised_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return ‖ s/‖s‖ − t/‖t‖ ‖² of each sample's first token.

    Args:
        student: (batch, tokens, width).
        teacher: The same shape.

    Returns:
        (batch,).
    """
    require_same_shape(student, teacher)
    ours, theirs = (F.normalize(at_least_float32(hidden[:, 0]), dim=-1) for hidden in (student, teacher.detach()))
    return (ours - theirs).square().sum(dim=-1)


@final
@register
class PatientKDLoss(nn.Module):
    """Patient knowledge distillation (Sun et al. 2019).

    >>> student, teacher = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 5.0]]])
    >>> PatientKDLoss()([student, student], [teacher, 3 * student])
    tensor(2.)
    """

    reduction_scope: ClassVar[str] = "sample"

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of hidden states (batch, tokens, width), one entry per pair of layers."""
        return torch.stack([normalised_distance(s, t) for s, t in pairs(student, teacher)]).sum(0).mean()
