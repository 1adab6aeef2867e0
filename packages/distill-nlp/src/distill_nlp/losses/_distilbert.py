"""DistilBERT: align the directions of the student's and the teacher's hidden states.

    L = mean over tokens of ( 1 − cos( s, t ) )

The third term of DistilBERT, for the last hidden states. The others are `distill_core.losses.ForwardKLLoss` at the
masked tokens and the cross-entropy of the masked words. Both models have the same width.

Use: encoders of equal width, beside the divergence of the masked words.
Taps: the last hidden states of both models, with `batch.attention_mask`.

Paper: DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter
Authors: Victor Sanh, Lysandre Debut, Julien Chaumond, Thomas Wolf
Venue: NeurIPS EMC² workshop
Year: 2019
Link: https://arxiv.org/abs/1910.01108
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.layers import at_least_float32, require_same_shape
from distill_core.losses import token_mean
from distill_core.registry import register


def hidden_cosine(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return 1 − cos of each token, 0 where the mask is 0.

    Args:
        student: (batch, tokens, width).
        teacher: The same shape.
        mask: (batch, tokens).

    Returns:
        (batch, tokens).
    """
    require_same_shape(student, teacher)
    distance = 1 - F.cosine_similarity(at_least_float32(student), at_least_float32(teacher.detach()), dim=-1)
    return distance if mask is None else torch.where(mask.bool(), distance, 0)


@final
@register
class HiddenCosineLoss(nn.Module):
    """The cosine term of DistilBERT (Sanh et al. 2019).

    >>> student, teacher = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]), torch.tensor([[[0.0, 2.0], [3.0, 3.0]]])
    >>> HiddenCosineLoss()(student, teacher, mask=torch.tensor([[1, 0]]))
    tensor(1.)
    """

    reduction_scope: ClassVar[str] = "token"

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of hidden states (batch, tokens, width) and a mask (batch, tokens)."""
        return token_mean(hidden_cosine(student, teacher, mask), mask)
