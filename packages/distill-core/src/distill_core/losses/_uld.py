"""Universal logit distillation (ULD): compare sorted probabilities, so that vocabularies may differ.

    L = mean over tokens of sum over i of | sort(softmax(t))_i − sort(softmax(s))_i |,   the shorter one padded with 0

The Wasserstein distance of two distributions whose tokens all have the same distance. With two tokenizers the n-th
counted token of the student is compared with the n-th of the teacher, as many as both have. The mean is that of
`token_mean`; the authors' code (llm-recipes) averages each sequence first. The cross-entropy of the labels is a
separate term.

Use: language models with two tokenizers, if nothing is to be learned by the loss.
Taps: `student:out.logits` and `teacher:out.logits`, with a mask of each.

Paper: Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss for LLMs
Authors: Nicolas Boizard, Kevin El Haddad, Céline Hudelot, Pierre Colombo
Venue: TMLR
Year: 2025
Link: https://arxiv.org/abs/2402.12030
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import per_token, refuse_infinite, require_token_logits
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean


def sorted_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return Σ | sort(softmax(teacher)) − sort(softmax(student)) |.

    Args:
        student: Logits (…, vocabulary).
        teacher: Logits (…, other vocabulary).

    Returns:
        (…), from 0 to 2.
    """
    longest = max(student.shape[-1], teacher.shape[-1])
    ours, theirs = (
        F.pad(F.softmax(logits, dim=-1).sort(dim=-1, descending=True).values, (0, longest - logits.shape[-1]))
        for logits in (student, teacher)
    )
    return refuse_infinite((theirs - ours).abs().sum(-1), student, teacher)


@final
@register
class ULDLoss(nn.Module):
    """Universal logit distillation of sequences (Boizard et al. 2025).

    Args:
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.
        student_temperature: > 0, divides the student's logits.
        teacher_temperature: > 0, divides the teacher's logits.

    >>> import torch
    >>> ULDLoss()(torch.zeros(1, 1, 2), torch.zeros(1, 1, 4))
    tensor(1.)
    """

    reduction_scope: ClassVar[str] = "token"
    aligns_vocabularies: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        chunk: PositiveInt | None = None,
        *,
        student_temperature: PositiveFloat = 1.0,
        teacher_temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.chunk = chunk
        self.student_temperature, self.teacher_temperature = student_temperature, teacher_temperature

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | Sequence[Tensor] | None = None) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, tokens, vocabulary).
            teacher: Logits (batch, tokens, vocabulary), possibly of other sizes.
            mask: (batch, tokens), which tokens count in both, or [student's, teacher's]; all by default.

        Raises:
            ValueError: If the shapes do not match.
        """
        ours, theirs = _counted(student, teacher, mask)
        tokens = min(ours.shape[1], theirs.shape[1])
        # Stable sort: counted tokens come first, in order.
        order = [(~counted).to(torch.uint8).argsort(dim=1, stable=True)[:, :tokens] for counted in (ours, theirs)]
        num_pairs = torch.minimum(ours.sum(1), theirs.sum(1))
        both = torch.arange(tokens, device=student.device) < num_pairs[:, None]
        of_student, of_teacher = self.student_temperature, self.teacher_temperature

        def function(ours: Tensor, theirs: Tensor) -> Tensor:
            return sorted_distance(ours / of_student, theirs / of_teacher)

        values = per_token(function, student, teacher, chunk=self.chunk, mask=both, positions=order)
        return token_mean(values, both)

    @staticmethod
    def count(mask: Tensor | Sequence[Tensor] | None = None) -> Tensor | None:
        """Return the number of counted token pairs, or None if all count."""
        if mask is None:
            return None
        ours, theirs = (mask, mask) if isinstance(mask, Tensor) else mask
        return torch.minimum(ours.bool().sum(1), theirs.bool().sum(1)).sum()


def _counted(student: Tensor, teacher: Tensor, mask: Tensor | Sequence[Tensor] | None) -> list[Tensor]:
    """Return the two masks.

    Raises:
        ValueError: If the logits have no token dimension, or there is not one mask of the right shape per side.
    """
    masks = [mask] * 2 if mask is None or isinstance(mask, Tensor) else list(mask)
    if len(masks) != 2:
        message = f"`mask` must be one tensor or [student's, teacher's], got {len(masks)} tensors"
        raise ValueError(message)
    counted = []
    for name, logits, given in zip(("student", "teacher"), (student, teacher), masks, strict=True):
        require_token_logits(logits, given, name)
        every = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
        counted.append(every if given is None else given.bool())
    return counted
