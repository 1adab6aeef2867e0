"""Word-level distillation (FKL): match the teacher's distribution of the next token.

    L = τ² · mean over tokens of KL( softmax(t/τ) ‖ softmax(s/τ) )

KD for sequences. The mean is over the tokens that `mask` counts, in the batches of all processes together, see
`token_mean`. No second tensor of the size of the logits is allocated.

Use: language models of one vocabulary, and KD of sequences in general; the first method to try.
Taps: logits of all tokens, `student:out.logits` and `teacher:out.logits`, with `batch.mask`.

Paper: Sequence-Level Knowledge Distillation
Authors: Yoon Kim, Alexander M. Rush
Venue: EMNLP
Year: 2016
Link: https://arxiv.org/abs/1606.07947
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..distributed import sum_over_processes, world_size
from ..layers import at_temperatures, divergence_with_gradient, per_token, require_same_vocabulary, softmax_divergence
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register


def forward_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return τ² · KL( softmax(teacher/τ) ‖ softmax(student/τ) ).

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits of the same shape.
        temperature: τ > 0.

    Returns:
        (…).
    """
    return temperature**2 * softmax_divergence(student, teacher, temperature)


def token_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the sum over counted tokens, divided by their mean number per process.

    Data-parallel training averages over processes: of Σ/(N/processes), with N the tokens of all processes, it gives the
    mean over all tokens, however unequally they are spread. Under gradient accumulation the trainer weights each batch
    by its fraction of the tokens. Without tokens the result is 0.

    Args:
        values: (batch, tokens), 0 where the mask is 0.
        mask: (batch, tokens), which tokens count; all by default.
    """
    every = torch.full((), values.numel(), device=values.device)
    total = sum_over_processes(every if mask is None else mask.bool().sum()) / world_size()
    return values.sum() / torch.where(total > 0, total, 1)


@final
@register
class ForwardKLLoss(nn.Module):
    """Word-level distillation of sequences (Kim & Rush 2016).

    Args:
        temperature: τ > 0.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.

    >>> import torch
    >>> student, teacher = torch.zeros(1, 2, 3), torch.tensor([[[2.0, 0.0, 0.0], [9.0, 9.0, 0.0]]])
    >>> ForwardKLLoss()(student, teacher, mask=torch.tensor([[True, False]]))
    tensor(0.4330)
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
            return softmax_divergence(ours, theirs, temperature)

        closed = at_temperatures(divergence_with_gradient, temperature)
        values = per_token(function, student, teacher, chunk=self.chunk, mask=mask, with_gradient=closed)
        return temperature**2 * token_mean(values, mask)
