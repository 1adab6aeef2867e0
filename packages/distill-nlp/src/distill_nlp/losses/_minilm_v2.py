"""MiniLMv2: match the relations among queries, among keys and among values, with any number of relation heads.

    R(x) = softmax( x · xᵀ / √d ) of each relation head,   d its width
    L = sum over x in (queries, keys, values) of weight · mean over relation heads and tokens of KL( R(x_t) ‖ R(x_s) )

The widths are split into relation heads, so neither the width nor the number of attention heads has to agree. The paper
uses an upper middle layer of large teachers and the last one of small ones, and 48 relation heads for a width of 768.

Use: encoders of any widths and numbers of heads, before fine-tuning.
Taps: `[queries, keys, values]` of one layer of each model, tapped as modules.

Paper: MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing Pretrained Transformers
Authors: Wenhui Wang, Hangbo Bao, Shaohan Huang, Li Dong, Furu Wei
Venue: ACL Findings
Year: 2021
Link: https://arxiv.org/abs/2012.15828
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from distill_core.ranges import NonNegativeFloat, PositiveInt, checked
from distill_core.registry import register

from ._minilm import relation_divergence, require_three


@final
@register
class MiniLMv2Loss(nn.Module):
    """MiniLMv2 (Wang et al. 2021).

    Args:
        relation_heads: Number of heads that queries, keys and values are split into; divides both widths.
        weights: Weights of the relations among queries, keys and values.

    >>> one = torch.randn(3, 2, 5, 8)
    >>> MiniLMv2Loss(relation_heads=4)(list(one), list(one))
    tensor(0.)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        relation_heads: PositiveInt,
        weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.relation_heads, self.weights = relation_heads, tuple(weights)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of `[queries, keys, values]` (batch, tokens, width) and a mask (batch, tokens)."""
        rows = zip(self.weights, require_three("student", student), require_three("teacher", teacher), strict=True)
        return torch.stack([w * relation_divergence(s, t, self.relation_heads, mask) for w, s, t in rows]).sum()
