"""Dual-space distillation with cross-model attention (DSKD-CMA): align the tokens of two tokenizers by attention.

    e(x), e(y): embeddings of each input token and of its next token, of student and teacher, constant
    Q = C [e_s(x); e_s(y)] + c,  K = [e_t(x); e_t(y)] / σ,  σ the standard deviation
    Z = Q Kᵀ / √(2 · width of the teacher)
    v_t = A ( h_t / σ + e_t(y) / σ ) + a,  v_s = B h_s + b,  A, a, B, b, C, c learned
    t' = W_s( softmax(Z) v_t )  for the student's tokens,  s' = W_t( softmax(Zᵀ) v_s )  for the teacher's tokens
    L = 1/n · ( Σ over student tokens of − log softmax(t')[y] + r · D( t', s ) + Σ over teacher tokens of KL( t, s' ) )

h, W, D, τ as in `DSKDLoss`; n is the number of counted student tokens, r is 1 where argmax t' = y and 0 elsewhere.
Attention is within a sample, among the tokens that count. A sample without counted tokens on one side does not count.

Difference: each σ is of the counted tokens of one sample. The authors' code takes one for the batch, padding included,
so that the loss of a sample depends on the others.

unverified: the golden values are of the authors' statements, retyped; their files were not run.

Use: language models with two tokenizers.
Taps: logits, the head's input, the head and the embedding of each model, with the tokens of both as `target` and
`index`.

Paper: Dual-Space Knowledge Distillation for Large Language Models
Authors: Songming Zhang, Xue Zhang, Zengkui Sun, Yufeng Chen, Jinan Xu
Venue: EMNLP
Year: 2024
Link: https://arxiv.org/abs/2406.17328
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ..layers import Regressor, at_least_float32, without_autocast
from ..registry import register
from ._dskd import DualSpace, require_vectors, student_space, teacher_space
from ._forward_kl import token_mean
from ._token_ce import IGNORED, require_token_targets

Side = tuple[Tensor, Tensor, nn.Module, nn.Module]


def token_attention(query: Tensor, key: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the scores of each student token and each teacher token.

    Args:
        query: (batch, tokens, features), of the student's tokens.
        key: (batch, tokens, features), of the teacher's tokens.
        ours: (batch, tokens), which student tokens count.
        theirs: The same of the teacher.

    Returns:
        (batch, student tokens, teacher tokens), very negative where one of the two does not count.
    """
    dtype = at_least_float32(query).dtype
    query, key = query.to(dtype), key.to(dtype)
    with without_autocast(query):
        scores = query @ key.mT / math.sqrt(key.shape[-1])
    return scores.masked_fill(~(ours[:, :, None] & theirs[:, None]), torch.finfo(scores.dtype).min)


@final
@register
class DSKDCMALoss(DualSpace):
    """Dual-space distillation of models with two tokenizers (Zhang et al. 2024).

    Args:
        temperature: τ > 0.
        divergence: D in the student's space, `forward` or `reverse`.
        student_features: Length of the student's embeddings and vectors; inferred on first use if omitted.
        teacher_features: The same of the teacher.
        chunk: Number of tokens per chunk.

    >>> import torch
    >>> side = [torch.zeros(1, 2, 5), torch.ones(1, 2, 3), nn.Linear(3, 5, bias=False), nn.Embedding(5, 3)]
    >>> tokens, target = torch.tensor([[1, 2]]), torch.tensor([[2, 4]])
    >>> DSKDCMALoss()(side, side, [target, target], [tokens, tokens]).shape
    torch.Size([])
    """

    reduction_scope: ClassVar[str] = "token"

    def _add_projections(self, student_features: int | None, teacher_features: int | None) -> None:
        super()._add_projections(student_features, teacher_features)
        self.query = Regressor(*(None if x is None else 2 * x for x in (student_features, teacher_features)))

    def forward(self, student: Side, teacher: Side, target: Sequence[Tensor], index: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss.

        Args:
            student: [logits (batch, tokens, vocabulary), the head's input (batch, tokens, features), the head, the
                embedding of tokens].
            teacher: The same; all sizes but the batch may differ.
            target: [the student's next tokens (batch, tokens), the teacher's], −100 for tokens that do not count.
            index: [the student's input tokens (batch, tokens), the teacher's].

        Raises:
            ValueError: If the shapes do not match.
            DataError: If the target of a counted token is not in the vocabulary.
        """
        _require_two(target, index)
        for name, side, labels in zip(("student", "teacher"), (student, teacher), target, strict=True):
            require_vectors(name, side[0], side[1])
            require_token_targets(side[0], labels, None)
        ours, theirs = _counted(target)
        vectors, their_vectors = (_counted_rows(x[1], y) for x, y in ((student, ours), (teacher, theirs)))
        their_vectors = their_vectors.detach()
        embedded, following = _embedded(student[3], index[0], target[0], ours)
        their_embedded, their_following = _embedded(teacher[3], index[1], target[1], theirs)
        key = torch.cat([their_embedded, their_following], -1)
        query = self.query(torch.cat([embedded, following], -1), like=key)
        scores = token_attention(query, _scaled(key, theirs), ours, theirs)
        carried = self.to_student(_scaled(their_vectors, theirs) + _scaled(their_following, theirs), like=vectors)
        in_student = student_space(
            student[0],
            _mixed(scores, carried),
            student[2],
            target[0].masked_fill(~ours, IGNORED),
            temperature=self.temperature,
            divergence=self.divergence,
            only_right=True,
            chunk=self.chunk,
        )
        carried = self.to_teacher(vectors, like=their_vectors)
        in_teacher = teacher_space(
            _mixed(scores.mT, carried),
            teacher[0],
            teacher[2],
            theirs,
            temperature=self.temperature,
            chunk=self.chunk,
        )
        return token_mean(in_student, ours) + token_mean(in_teacher, ours)

    @staticmethod
    def count(target: Sequence[Tensor]) -> Tensor:
        """Return the number of counted student tokens."""
        return _counted(target)[0].sum()


def _require_two(target: Sequence[Tensor], index: Sequence[Tensor]) -> None:
    """Check that targets and input tokens are given for both sides, in the same shapes.

    Raises:
        ValueError: If they are not.
    """
    given: dict[str, Tensor | Sequence[Tensor]] = {"target": target, "index": index}
    for name, value in given.items():
        if isinstance(value, Tensor) or len(value) != 2:
            count = "one tensor" if isinstance(value, Tensor) else f"{len(value)} tensors"
            message = f"`{name}` must be [student's, teacher's], got {count}"
            raise ValueError(message)
    for ours, theirs in zip(target, index, strict=True):
        if ours.shape != theirs.shape:
            message = f"`index` must have the shape of `target` {tuple(ours.shape)}, got {tuple(theirs.shape)}"
            raise ValueError(message)


def _counted(target: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return which tokens of both sides count: those with a target, in samples that have some on both sides."""
    ours, theirs = (x != IGNORED for x in target)
    both = (ours.any(1) & theirs.any(1))[:, None]
    return ours & both, theirs & both


def _counted_rows(features: Tensor, counted: Tensor) -> Tensor:
    return at_least_float32(features).masked_fill(~counted[..., None], 0)


def _embedded(embedding: nn.Module, tokens: Tensor, target: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the embeddings of the input tokens and of the next ones, zeros for tokens that do not count."""
    with torch.no_grad():
        first, second = (_counted_rows(embedding(x.masked_fill(~counted, 0)), counted) for x in (tokens, target))
    return first, second


def _scaled(features: Tensor, counted: Tensor) -> Tensor:
    """Divide by the standard deviation of all entries of a sample's counted tokens; other tokens must be 0."""
    count = counted.sum(1)[:, None, None] * features.shape[-1]
    mean = features.sum((1, 2), keepdim=True) / count.clamp(min=1)
    squares = (features - mean).masked_fill(~counted[..., None], 0).square().sum((1, 2), keepdim=True)
    deviation = (squares / (count - 1).clamp(min=1)).sqrt()
    return features / deviation.clamp(min=1e-12)


def _mixed(scores: Tensor, values: Tensor) -> Tensor:
    """Return the mean of the other side's values, weighted by attention."""
    values = at_least_float32(values)
    with without_autocast(values):
        return scores.softmax(-1) @ values
