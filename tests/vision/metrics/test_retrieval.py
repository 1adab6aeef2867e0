"""Recall@k against scikit-learn's neighbours and a plain loop."""

from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from distill_core.errors import ConfigError, DataError
from distill_vision.metrics import RetrievalRecall, _retrieval


@pytest.mark.parametrize("queries", [512, 7])
def test_the_recall_is_that_of_scikit_learns_neighbours(monkeypatch, queries):
    monkeypatch.setattr(_retrieval, "_QUERIES", queries)
    torch.manual_seed(0)
    embeddings, target = torch.randn(40, 2, 3), torch.randint(9, (40,))
    recall = RetrievalRecall([8, 1, 3])
    recall.update(torch.randn(5, 6), torch.zeros(5))
    recall.reset()
    for part in (slice(0, 17), slice(17, 40)):
        recall.update(embeddings[part], target[part])
    search = NearestNeighbors(n_neighbors=9, metric="cosine").fit(embeddings.flatten(1).numpy())
    nearest = search.kneighbors(return_distance=False)  # of samples that were fitted, without themselves
    expected = {f"at_{k}": sum(target[i] in target[nearest[i][:k]] for i in range(40)) / 40 for k in (1, 3, 8)}
    assert recall.compute() == pytest.approx(expected)
    assert 0 < expected["at_1"] < expected["at_3"] < expected["at_8"] <= 1


def test_equal_neighbours_rank_by_their_order():
    """Of three equal embeddings the sample itself is omitted, and not another one."""
    recall = RetrievalRecall([1])
    recall.update(torch.ones(3, 2), torch.tensor([0, 0, 1]))
    assert recall.compute() == {"at_1": pytest.approx(2 / 3)}


def test_a_class_of_one_sample_is_missed():
    recall = RetrievalRecall([1, 2])
    recall.update(torch.eye(3), torch.arange(3))
    assert recall.compute() == {"at_1": 0.0, "at_2": 0.0}


@pytest.mark.parametrize("top_k", [[], [0], [1.5], "12"])
def test_numbers_of_neighbours_are_validated(top_k):
    with pytest.raises(ConfigError, match="`top_k` must be a list of integers > 0"):
        RetrievalRecall(top_k)


def test_samples_that_do_not_fit_are_refused():
    recall = RetrievalRecall()
    with pytest.raises(DataError, match="has no samples"):
        recall.compute()
    with pytest.raises(DataError, match=r"got \(2, 3\) and \(3,\)"):
        recall.update(torch.zeros(2, 3), torch.zeros(3))
    recall.update(torch.zeros(8, 3), torch.zeros(8))
    with pytest.raises(DataError, match="needs more than 8 samples, got 8"):
        recall.compute()
