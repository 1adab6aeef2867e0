"""TinyBERT: match attentions, hidden states and embeddings layer by layer.

    scores:     A = q · kᵀ / √d of each head,   d the width of a head
    attention:  L = sum over layers of mean over heads and pairs of tokens of ( A_s − A_t )²
    hidden:     L = sum over layers of mean over tokens and channels of ( s · W − t )²

Layer m of the student is paired with layer g(m) of the teacher by the choice of taps. The embeddings are the hidden
states at index 0. As in the paper, attentions are compared before the softmax ("unnormalized"). They are computed from
queries and keys, tapped as modules, so no model has to return them: `TinyBERTAttentionLoss`. Transformers returns
attentions after the softmax, whose values are far smaller. TextBrewer compares those, and so does
`TinyBERTAttentionMapLoss`. As in the paper, one W serves all layers, and the embeddings have a separate one in a second
term. Both models have the same number of heads. Means are over the tokens of the mask, and over pairs of two such
tokens. The authors' code (huawei-noah/Pretrained-Language-Model) averages over padding, too: over hidden states of
padding and over all pairs, with scores of 0 for keys that are padding. Without padding both are equal.

Use: encoders with equal numbers of heads, before fine-tuning and in it.
Taps: queries and keys of paired layers for the attentions, hidden states for `TinyBERTHiddenLoss`.

Paper: TinyBERT: Distilling BERT for Natural Language Understanding
Authors: Xiaoqi Jiao, Yichun Yin, Lifeng Shang, Xin Jiang, Xiao Chen, Linlin Li, Fang Wang, Qun Liu
Venue: EMNLP Findings
Year: 2020
Link: https://arxiv.org/abs/1909.10351
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.layers import at_least_float32, pairs, require_same_shape
from distill_core.losses import token_mean
from distill_core.ranges import PositiveInt, checked
from distill_core.registry import register

from ._attention import attention_scores


def attention_mse(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean over heads and over counted pairs of tokens, of all processes.

    Args:
        student: (batch, heads, tokens, tokens).
        teacher: The same shape.
        mask: (batch, tokens).
    """
    require_same_shape(student, teacher)
    squares = (at_least_float32(student) - at_least_float32(teacher.detach())).square().mean(dim=1)
    both = None if mask is None else mask.bool()[:, :, None] & mask.bool()[:, None, :]
    if both is not None:
        squares = torch.where(both, squares, 0)
    return token_mean(squares, both)


def pairs_counted(mask: Tensor | None = None) -> Tensor | None:
    """Return the number of pairs of counted tokens, or None if all count."""
    return None if mask is None else mask.bool().sum(1).square().sum()


@final
@register
class TinyBERTAttentionLoss(nn.Module):
    """Attentions of TinyBERT before the softmax (Jiao et al. 2020).

    Args:
        heads: Number of attention heads of both models.

    >>> query, key = torch.tensor([[[2.0], [0.0]]]), torch.tensor([[[1.0], [3.0]]])
    >>> TinyBERTAttentionLoss(heads=1)([query, key], [query, 0 * key], mask=torch.tensor([[1, 0]]))
    tensor(4.)
    """

    reduction_scope: ClassVar[str] = "token"
    count = staticmethod(pairs_counted)

    @checked
    def __init__(self, heads: PositiveInt) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss of alternating queries and keys (batch, tokens, width) and a mask (batch, tokens).

        Raises:
            WiringError: If a list does not hold pairs, or the lists differ in length.
        """
        for name, given in (("student", student), ("teacher", teacher)):
            if len(given) % 2 or len(given) == 0:
                message = f"`{name}` takes alternating queries and keys, two taps per layer, got {len(given)}"
                raise WiringError(message)
        ours, theirs = ([attention_scores(*pair, self.heads) for pair in _pairs(side)] for side in (student, teacher))
        return torch.stack([attention_mse(s, t, mask) for s, t in pairs(ours, theirs)]).sum()


def _pairs(tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(tensors[::2], tensors[1::2], strict=True))


@final
@register
class TinyBERTAttentionMapLoss(nn.Module):
    """Attentions after the softmax, as transformers models return them and TextBrewer compares them.

    >>> student, teacher = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    >>> TinyBERTAttentionMapLoss()([student, teacher], [teacher, teacher], mask=torch.tensor([[1, 0]]))
    tensor(1.)
    """

    reduction_scope: ClassVar[str] = "token"
    count = staticmethod(pairs_counted)

    def forward(
        self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor], mask: Tensor | None = None
    ) -> Tensor:
        """Return the scalar loss of lists of attentions (batch, heads, tokens, tokens), and a mask (batch, tokens).

        Raises:
            WiringError: If the model does not return attentions.
        """
        for name, given in (("student", student), ("teacher", teacher)):
            if not isinstance(given, Tensor) and (len(given) == 0 or any(one is None for one in given)):
                message = f"`{name}` has no attentions: scaled_dot_product_attention does not return them"
                raise WiringError(
                    message, hint="create the model with attentions=True, which sets attn_implementation to 'eager'"
                )
        return torch.stack([attention_mse(s, t, mask) for s, t in pairs(student, teacher)]).sum()


@final
@register
class TinyBERTHiddenLoss(nn.Module):
    """Hidden states or embeddings of TinyBERT, with a learned projection (Jiao et al. 2020).

    Args:
        student_width: Width of the student's hidden states.
        teacher_width: Width of the teacher's hidden states.

    >>> loss = TinyBERTHiddenLoss(student_width=2, teacher_width=3)
    >>> loss([torch.zeros(1, 1, 2)] * 2, [torch.ones(1, 1, 3), 2 * torch.ones(1, 1, 3)])
    tensor(5., grad_fn=<SumBackward0>)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(self, student_width: PositiveInt, teacher_width: PositiveInt) -> None:
        super().__init__()
        self.projection = nn.Linear(student_width, teacher_width, bias=False)

    def forward(
        self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor], mask: Tensor | None = None
    ) -> Tensor:
        """Return the scalar loss of lists of hidden states (batch, tokens, width), and a mask (batch, tokens)."""
        return torch.stack([self._distance(s, t, mask) for s, t in pairs(student, teacher)]).sum()

    def _distance(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        projected = self.projection(student)
        require_same_shape(projected, teacher)
        squares = (at_least_float32(projected) - at_least_float32(teacher.detach())).square().mean(dim=-1)
        if mask is not None:
            squares = torch.where(mask.bool(), squares, 0)
        return token_mean(squares, mask)
