"""Dual-space distillation (DSKD): compare distributions of one head, in the student's space and in the teacher's.

    s, t: logits of student and teacher; h_s, h_t: the vectors that their heads W_s, W_t take; y: the next token
    t' = W_s( A h_t + a ),  s' = W_t( B h_s + b ),  A, a, B, b learned
    L = mean over tokens of  − log softmax(t')[y] + D( t', s ) + KL( softmax(t/τ) ‖ softmax(s'/τ) )

D is KL( softmax(t'/τ) ‖ softmax(s/τ) ), or with `divergence: reverse` the opposite, and t' is constant in it: A learns
from the labels. Both heads are constant where they take the other model's vectors. There is no factor τ², as in the
authors' code, whose runs have τ = 2 and 0.5 · CE + 0.5 · DSKD. Other divergences of the paper are not implemented. Heads
are tapped as `:module`, vectors as the head's `:in`. The vocabularies need not be the same, but the tokens are: see
`DSKDCMALoss` for two tokenizers. The mean is that of `token_mean`.

unverified: the golden values are of the authors' statements, retyped; their files were not run.

Use: language models whose vocabularies differ but whose tokens are the same.
Taps: logits, the head's input and the head: `[student:out.logits, student.lm_head:in, student.lm_head:module]`.

Paper: Dual-Space Knowledge Distillation for Large Language Models
Authors: Songming Zhang, Xue Zhang, Zengkui Sun, Yufeng Chen, Jinan Xu
Venue: EMNLP
Year: 2024
Link: https://arxiv.org/abs/2406.17328
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ..layers import Regressor, head_logits, one_of, per_token, require_token_logits, softmax_divergence
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean
from ._token_ce import IGNORED, counted_targets, next_token_ce, require_token_targets

Divergence = Literal["forward", "reverse"]


def student_space(
    student: Tensor,
    projected: Tensor,
    head: nn.Module,
    target: Tensor,
    *,
    temperature: float = 1.0,
    divergence: Divergence = "forward",
    only_right: bool = False,
    chunk: int = 256,
) -> Tensor:
    """Return the cross-entropy of the projected teacher, and the student's divergence from it.

    Args:
        student: Logits (batch, tokens, vocabulary).
        projected: The teacher's vectors in the student's space (batch, tokens, features).
        head: The student's head.
        target: (batch, tokens), −100 for tokens that do not count.
        temperature: τ > 0 of the divergence.
        divergence: `forward` or `reverse`.
        only_right: Omit the divergence where the most probable token of the projected teacher is not the target.
        chunk: Number of tokens per chunk.

    Returns:
        (batch, tokens), 0 for tokens that do not count.
    """
    counted, is_reverse = target != IGNORED, divergence == "reverse"

    def cross_entropy(vectors: Tensor, target: Tensor) -> Tensor:
        return next_token_ce(head_logits(head, vectors, constant=True), target)

    def match(ours: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
        theirs = head_logits(head, vectors, constant=True)
        values = softmax_divergence(ours, theirs, temperature, reverse=is_reverse)
        return torch.where(theirs.argmax(-1) == target, values, 0) if only_right else values

    of_labels = per_token(cross_entropy, projected, target, chunk=chunk, mask=counted)
    return of_labels + per_token(match, student, projected, target, chunk=chunk, mask=counted)


def teacher_space(
    projected: Tensor, teacher: Tensor, head: nn.Module, mask: Tensor, *, temperature: float = 1.0, chunk: int = 256
) -> Tensor:
    """Return KL( teacher ‖ projected student ).

    Args:
        projected: The student's vectors in the teacher's space (batch, tokens, features).
        teacher: Logits (batch, tokens, vocabulary).
        head: The teacher's head.
        mask: (batch, tokens), which tokens count.
        temperature: τ > 0.
        chunk: Number of tokens per chunk.

    Returns:
        (batch, tokens), 0 for tokens that do not count.
    """

    def match(vectors: Tensor, theirs: Tensor) -> Tensor:
        return softmax_divergence(head_logits(head, vectors, constant=True), theirs, temperature)

    return per_token(match, projected, teacher, chunk=chunk, mask=mask)


class DualSpace(nn.Module):
    """Arguments of `DSKDLoss` and `DSKDCMALoss`, and projections between the spaces of both models."""

    @checked
    def __init__(
        self,
        temperature: PositiveFloat = 1.0,
        divergence: Divergence = "forward",
        *,
        student_features: PositiveInt | None = None,
        teacher_features: PositiveInt | None = None,
        chunk: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.temperature, self.divergence = temperature, one_of("divergence", divergence, Divergence)
        self.chunk = chunk
        self._add_projections(student_features, teacher_features)

    def _add_projections(self, student_features: int | None, teacher_features: int | None) -> None:
        self.to_student = Regressor(teacher_features, student_features)
        self.to_teacher = Regressor(student_features, teacher_features)


@final
@register
class DSKDLoss(DualSpace):
    """Dual-space distillation of models with one tokenizer (Zhang et al. 2024).

    Args:
        temperature: τ > 0.
        divergence: D in the student's space, `forward` or `reverse`.
        student_features: Length of the vectors that the student's head takes; inferred on first use if omitted.
        teacher_features: The same of the teacher.
        chunk: Number of tokens per chunk.

    >>> import torch
    >>> side = [torch.zeros(1, 2, 5), torch.zeros(1, 2, 3), nn.Linear(3, 5, bias=False)]
    >>> DSKDLoss()(side, side, torch.tensor([[4, -100]])).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "token"

    def forward(
        self, student: tuple[Tensor, Tensor, nn.Module], teacher: tuple[Tensor, Tensor, nn.Module], target: Tensor
    ) -> Tensor:
        """Return the scalar loss.

        Args:
            student: [logits (batch, tokens, vocabulary), the head's input (batch, tokens, features), the head].
            teacher: The same; vocabulary and features may differ.
            target: (batch, tokens), −100 for tokens that do not count.

        Raises:
            ValueError: If the shapes do not match.
            DataError: If the target of a counted token is not in the vocabulary.
        """
        (ours, vectors, head), (theirs, their_vectors, their_head) = student, teacher
        counted = require_token_targets(ours, target, None)
        require_vectors("student", ours, vectors)
        require_vectors("teacher", theirs, their_vectors)
        if theirs.shape[:2] != ours.shape[:2]:
            message = f"`student` and `teacher` must have the same tokens, got logits {tuple(ours.shape)} and {tuple(theirs.shape)}: use DSKDCMALoss for two tokenizers"
            raise ValueError(message)
        in_student = student_space(
            ours,
            self.to_student(their_vectors.detach(), like=vectors),
            head,
            target,
            temperature=self.temperature,
            divergence=self.divergence,
            chunk=self.chunk,
        )
        projected = self.to_teacher(vectors, like=their_vectors)
        in_teacher = teacher_space(
            projected, theirs, their_head, counted, temperature=self.temperature, chunk=self.chunk
        )
        return token_mean(in_student + in_teacher, counted)

    @staticmethod
    def count(target: Tensor) -> Tensor:
        """Return the number of counted tokens."""
        return counted_targets(target, None).sum()


def require_vectors(name: str, logits: Tensor, vectors: Tensor) -> None:
    """Check that logits are (batch, tokens, vocabulary), and the head's input has the same tokens.

    Raises:
        ValueError: If a shape is another one.
    """
    require_token_logits(logits, None, name)
    if vectors.dim() != 3 or vectors.shape[:2] != logits.shape[:2]:
        message = f"`{name}` must be [logits, vectors, head] with vectors (batch, tokens, features) for logits {tuple(logits.shape)}, got {tuple(vectors.shape)}"
        raise ValueError(message)
