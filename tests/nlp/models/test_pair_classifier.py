"""Pairs that were read apart, classified by their embeddings."""

from __future__ import annotations

import pytest
import torch

from distill_nlp.models import PairClassifier


def test_logits_are_those_of_the_paper():
    torch.manual_seed(0)
    model, hidden = PairClassifier(width=2, num_labels=3).double(), torch.randn(4, 3, 2, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]])
    weight, bias = model.classifier.weight.tolist(), model.classifier.bias.tolist()
    logits = model(hidden, mask).tolist()
    for pair in range(2):
        rows = [2 * pair, 2 * pair + 1]
        counts = [int(mask[row].sum()) for row in rows]
        first, second = (
            [sum(hidden[row, token, c].item() for token in range(count)) / count for c in range(2)]
            for row, count in zip(rows, counts, strict=True)
        )
        features = [*first, *second, *(abs(a - b) for a, b in zip(first, second, strict=True))]
        for label in range(3):
            expected = sum(w * x for w, x in zip(weight[label], features, strict=True)) + bias[label]
            assert logits[pair][label] == pytest.approx(expected, rel=1e-9)
