"""Random sampling distillation (RS-KD): match classes sampled from the teacher's distribution.

    L = − mean over tokens of Σ_i w_i · log softmax(s)_{c_i},   classes c_1 … c_n drawn with the teacher's probabilities

With weights w whose expectation is the teacher's distribution (1/n for plain draws), the gradient's expectation is that
of the forward divergence. Top-k does not have this property: it never shows rare classes. The value is the divergence
plus the teacher's entropy, and does not reach 0. `teacher` holds the weights as stored in a cache.

Use: language models with a cache that holds drawn tokens instead of all.
Taps: `student:out.logits`; as teacher a cache with the codec `sampled-n`: `teacher:out.logits.weights` and
`teacher:out.logits.index`.

Paper: Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs
Authors: Anshumann, Mohd Abbas Zaidi, Akhil Kedia, Jinwoo Ahn, Taehwak Kwon, Kangwook Lee, Haejun Lee, Joohyung Lee
Venue: ACL
Year: 2025
Link: https://arxiv.org/abs/2503.16870
"""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import cross_entropy, per_token, refuse_infinite
from ..ranges import PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean
from ._topk_kl import of_tokens


def sampled_cross_entropy(student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
    """Return the cross-entropy with weighted classes.

    Args:
        student: Logits (…, vocabulary).
        teacher: (…, n), the weight of each class.
        index: (…, n), class indices, possibly repeated.

    Returns:
        (…).
    """
    log_q = F.log_softmax(student, dim=-1).gather(-1, index)
    return refuse_infinite(cross_entropy(teacher, log_q), log_q, teacher.log(), numbers=index)


def _with_gradient(student: Tensor, teacher: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of rows, and its gradient q · Σw − w."""
    log_q = F.log_softmax(student, dim=-1)
    chosen = log_q.gather(-1, index)
    values = refuse_infinite(cross_entropy(teacher, chosen), chosen, teacher.log(), numbers=index)
    return values, log_q.exp_().mul_(teacher.sum(-1, keepdim=True)).scatter_add_(-1, index, -teacher)


@final
@register
class RSKDLoss(nn.Module):
    """Random sampling distillation of classes or of sequences (Anshumann et al. 2025).

    Args:
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.

    >>> import torch
    >>> RSKDLoss()(torch.zeros(1, 3), torch.tensor([[0.5, 0.5]]), torch.tensor([[2, 2]]))
    tensor(1.0986)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, chunk: PositiveInt | None = None) -> None:
        super().__init__()
        self.chunk = chunk

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, tokens, vocabulary), or (batch, classes).
            teacher: (batch, tokens, n), or (batch, n), weights.
            index: Vocabulary indices of the entries, same shape.
            mask: (batch, tokens), or (batch,), which tokens count; all by default.

        Raises:
            ValueError: If the shapes do not match.
        """
        student, teacher, index, mask = of_tokens(student, teacher, index, mask, entries="n")
        values = per_token(
            sampled_cross_entropy, student, teacher, index, chunk=self.chunk, mask=mask, with_gradient=_with_gradient
        )
        return token_mean(values, mask)
