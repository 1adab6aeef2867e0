"""Each loss of text models with inputs and its definition written as plain loops."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distill_nlp.losses import (
    HiddenCosineLoss,
    MiniLMLoss,
    MiniLMv2Loss,
    PatientKDLoss,
    SentenceEmbeddingLoss,
    TinyBERTAttentionLoss,
    TinyBERTAttentionMapLoss,
    TinyBERTHiddenLoss,
)

MASK = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
TOKENS = [(b, i) for b in range(3) for i in range(5) if MASK[b, i]]


def dot(x, y) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def unit(x) -> list[float]:
    return [a / math.sqrt(dot(x, x)) for a in x]


def squares(x, y) -> list[float]:
    return [(a - b) ** 2 for a, b in zip(x, y, strict=True)]


def mean(values) -> float:
    return sum(values) / len(values)


def attention(query: Tensor, key: Tensor, heads: int, b: int, h: int, i: int) -> list[float]:
    """How token i of head h attends to the tokens that count."""
    size = query.shape[-1] // heads
    part = slice(h * size, (h + 1) * size)
    keys = [j for j in range(5) if MASK[b, j]]
    scores = [dot(query[b, i, part].tolist(), key[b, j, part].tolist()) / math.sqrt(size) for j in keys]
    total = sum(map(math.exp, scores))
    return [math.exp(score) / total for score in scores]


def divergence(student, teacher, heads: int) -> float:
    values = []
    for b, i in TOKENS:
        for h in range(heads):
            ours, theirs = attention(*student, heads, b, h, i), attention(*teacher, heads, b, h, i)
            values.append(sum(t * math.log(t / s) for s, t in zip(ours, theirs, strict=True)))
    return mean(values)


def slow_cosine(loss, student, teacher) -> float:
    return mean([1 - dot(unit(student[b, i].tolist()), unit(teacher[b, i].tolist())) for b, i in TOKENS])


def slow_patient(loss, student, teacher) -> float:
    return mean(
        [
            sum(
                sum(squares(unit(s[b, 0].tolist()), unit(t[b, 0].tolist())))
                for s, t in zip(student, teacher, strict=True)
            )
            for b in range(3)
        ]
    )


def slow_scores(loss, student, teacher) -> float:
    """Layers of alternating queries and keys, two heads."""
    places = [(b, h, i, j) for b, i in TOKENS for j in range(5) if MASK[b, j] for h in range(2)]

    def score(side, layer, b, h, i, j):
        query, key = side[2 * layer], side[2 * layer + 1]
        size = query.shape[-1] // 2
        part = slice(h * size, (h + 1) * size)
        return dot(query[b, i, part].tolist(), key[b, j, part].tolist()) / math.sqrt(size)

    return sum(
        mean([(score(student, layer, *place) - score(teacher, layer, *place)) ** 2 for place in places])
        for layer in range(2)
    )


def slow_attention(loss, student, teacher) -> float:
    places = [(b, i, j) for b, i in TOKENS for j in range(5) if MASK[b, j]]
    return sum(
        mean([(s[b, h, i, j] - t[b, h, i, j]).item() ** 2 for b, i, j in places for h in range(2)])
        for s, t in zip(student, teacher, strict=True)
    )


def slow_hidden(loss, student, teacher) -> float:
    rows = loss.projection.weight.tolist()
    return sum(
        mean([mean(squares([dot(row, s[b, i].tolist()) for row in rows], t[b, i].tolist())) for b, i in TOKENS])
        for s, t in zip(student, teacher, strict=True)
    )


def slow_minilm(loss, student, teacher) -> float:
    (q, k, v), (their_q, their_k, their_v) = student, teacher
    return divergence((q, k), (their_q, their_k), 2) + divergence((v, v), (their_v, their_v), 2)


def slow_minilm_v2(loss, student, teacher) -> float:
    rows = zip((1, 0.5, 2), student, teacher, strict=True)
    return sum(weight * divergence((s, s), (t, t), 4) for weight, s, t in rows)


def pooled(hidden: Tensor, b: int) -> list[float]:
    return [mean([hidden[b, i, c].item() for i in range(5) if MASK[b, i]]) for c in range(hidden.shape[-1])]


def slow_embeddings(loss, student, teacher) -> float:
    rows = loss.projection.weight.tolist()
    ours = [[dot(row, pooled(student, b)) for row in rows] for b in range(3)]
    return mean([mean(squares(unit(ours[b]), unit(pooled(teacher, b)))) for b in range(3)])


def several(count: int, *shape: int) -> list[Tensor]:
    return list(torch.randn(count, 3, *shape))


# loss, the student's tensors, the teacher's, the slow derivation, whether it takes a mask
CASES = {
    "HiddenCosineLoss": (
        HiddenCosineLoss,
        lambda: torch.randn(3, 5, 8),
        lambda: torch.randn(3, 5, 8),
        slow_cosine,
        True,
    ),
    "PatientKDLoss": (PatientKDLoss, lambda: several(2, 5, 8), lambda: several(2, 5, 8), slow_patient, False),
    "TinyBERTAttentionLoss": (
        lambda: TinyBERTAttentionLoss(heads=2),
        lambda: several(4, 5, 4),
        lambda: several(4, 5, 8),
        slow_scores,
        True,
    ),
    "TinyBERTAttentionMapLoss": (
        TinyBERTAttentionMapLoss,
        lambda: several(2, 2, 5, 5),
        lambda: several(2, 2, 5, 5),
        slow_attention,
        True,
    ),
    "TinyBERTHiddenLoss": (
        lambda: TinyBERTHiddenLoss(4, 8),
        lambda: several(2, 5, 4),
        lambda: several(2, 5, 8),
        slow_hidden,
        True,
    ),
    "MiniLMLoss": (lambda: MiniLMLoss(2), lambda: several(3, 5, 4), lambda: several(3, 5, 8), slow_minilm, True),
    "MiniLMv2Loss": (
        lambda: MiniLMv2Loss(4, (1, 0.5, 2)),
        lambda: several(3, 5, 4),
        lambda: several(3, 5, 12),
        slow_minilm_v2,
        True,
    ),
    "SentenceEmbeddingLoss": (
        lambda: SentenceEmbeddingLoss(4, 8, normalise=True),
        lambda: torch.randn(3, 5, 4),
        lambda: torch.randn(3, 5, 8),
        slow_embeddings,
        True,
    ),
}
