"""Sentence embeddings: the student's embedding of a text matches the teacher's.

    e = mean over tokens of the hidden states (of length 1, if `normalise`)
    L = mean over samples and channels of ( W · e_s − e_t )²

W exists if the widths differ. In the paper the student of another language reads a translation of the text. With the
same text the loss trains a smaller model.

Use: sentence embeddings: a smaller model, or one of another language.
Taps: the last hidden states of both models, with `batch.attention_mask`.

Paper: Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation
Authors: Nils Reimers, Iryna Gurevych
Venue: EMNLP
Year: 2020
Link: https://arxiv.org/abs/2004.09813
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.layers import at_least_float32, require_same_shape
from distill_core.ranges import PositiveInt, checked
from distill_core.registry import register


def mean_pooled(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean hidden state over the counted tokens, 0 if none counts.

    Args:
        hidden: (batch, tokens, width).
        mask: (batch, tokens).

    Returns:
        (batch, width), at least float32.
    """
    hidden = at_least_float32(hidden)
    if mask is None:
        return hidden.mean(dim=1)
    counted = mask.bool()[:, :, None]
    return torch.where(counted, hidden, 0).sum(dim=1) / counted.sum(dim=1).clamp(min=1)


@final
@register
class SentenceEmbeddingLoss(nn.Module):
    """Distillation of sentence embeddings (Reimers & Gurevych 2020).

    Args:
        student_width: Width of the student's hidden states, if it differs from the teacher's.
        teacher_width: Width of the teacher's hidden states.
        normalise: Normalise embeddings to length 1, for ranking by cosine.

    >>> student, teacher = torch.tensor([[[1.0, 0.0], [3.0, 0.0]]]), torch.tensor([[[2.0, 2.0], [9.0, 9.0]]])
    >>> SentenceEmbeddingLoss()(student, teacher, mask=torch.tensor([[1, 0]]))
    tensor(2.5000)
    """

    reduction_scope: ClassVar[str] = "sample"

    @checked
    def __init__(
        self,
        student_width: PositiveInt | None = None,
        teacher_width: PositiveInt | None = None,
        *,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        if (student_width is None) != (teacher_width is None):
            message = "give both `student_width` and `teacher_width`, or neither"
            raise ValueError(message)
        self.projection = (
            nn.Identity()
            if student_width is None or teacher_width is None
            else nn.Linear(student_width, teacher_width, bias=False)
        )
        self.normalise = normalise

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of hidden states (batch, tokens, width) and a mask (batch, tokens)."""
        ours, theirs = self.projection(mean_pooled(student, mask)), mean_pooled(teacher.detach(), mask)
        require_same_shape(ours, theirs)
        if self.normalise:
            ours, theirs = F.normalize(ours, dim=-1), F.normalize(theirs, dim=-1)
        return F.mse_loss(ours, theirs)
