"""Reverse divergence (RKL): the student avoids tokens that are unlikely for the teacher.

    L = τ² · mean over tokens of KL( softmax(s/τ) ‖ softmax(t/τ) )

It is mode-seeking, whereas the forward divergence is mode-covering. The paper estimates it by policy gradients over
whole sequences that the student generates. This is its exact single-step term, for logits on any sequences, as used by
GKD and on-policy distillation. The mean is that of `token_mean`.

Use: language models of one vocabulary, above all on answers of the student.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: MiniLLM: Knowledge Distillation of Large Language Models
Authors: Yuxian Gu, Li Dong, Furu Wei, Minlie Huang
Venue: ICLR
Year: 2024
Link: https://arxiv.org/abs/2306.08543
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

from torch import Tensor, nn

from ..layers import at_temperatures, divergence_with_gradient, per_token, require_same_vocabulary, softmax_divergence
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean


def reverse_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return τ² · KL( softmax(student/τ) ‖ softmax(teacher/τ) ).

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        temperature: τ > 0.

    Returns:
        (…).
    """
    return temperature**2 * softmax_divergence(student, teacher, temperature, reverse=True)


@final
@register
class ReverseKLLoss(nn.Module):
    """Reverse divergence of sequences (Gu et al. 2024).

    Args:
        temperature: τ > 0.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.

    >>> import torch
    >>> student, teacher = torch.zeros(1, 2, 3), torch.tensor([[[2.0, 0.0, 0.0], [9.0, 9.0, 0.0]]])
    >>> ReverseKLLoss()(student, teacher, mask=torch.tensor([[True, False]]))
    tensor(0.4743)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, temperature: PositiveFloat = 1.0, chunk: PositiveInt | None = None) -> None:
        super().__init__()
        self.temperature, self.chunk = temperature, chunk

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of logits (batch, tokens, vocabulary) and a mask (batch, tokens)."""
        require_same_vocabulary(student, teacher)
        temperature = self.temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return softmax_divergence(ours, theirs, temperature, reverse=True)

        closed = at_temperatures(partial(divergence_with_gradient, reverse=True), temperature)
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return temperature**2 * token_mean(values, mask)
