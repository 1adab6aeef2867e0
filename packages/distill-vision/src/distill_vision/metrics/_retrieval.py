"""Recall@k of retrieval by embeddings.

Hyun Oh Song, Yu Xiang, Stefanie Jegelka, Silvio Savarese. "Deep Metric Learning via Lifted Structured Feature Embedding."
CVPR 2016. https://arxiv.org/abs/1511.06452
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from distill_core.distributed import gather_batch
from distill_core.errors import ConfigError, DataError, Problem

_QUERIES = 512


@final
class RetrievalRecall:
    """Recall@k: the fraction of samples with one of the same class among their k nearest other samples.

    Neighbours are ranked by cosine similarity, and equal ones by their order. All embeddings are kept until `reset`. A sample
    whose class has no other counts as missed.

    Args:
        top_k: Numbers of neighbours; those of the papers on CUB-200-2011, Cars and Online Products differ.

    >>> recall = RetrievalRecall(top_k=[1, 2])
    >>> recall.update(torch.tensor([[1.0, 0.0], [0.9, 0.1], [1.0, 0.3]]), torch.tensor([0, 1, 0]))
    >>> {name: round(value, 2) for name, value in recall.compute().items()}
    {'at_1': 0.0, 'at_2': 0.67}
    """

    percent = True

    def __init__(self, top_k: Sequence[int] = (1, 2, 4, 8)) -> None:
        given: list[object] = list(top_k)
        if not given or not all(isinstance(k, int) and k > 0 for k in given):
            message = f"`top_k` must be a list of integers > 0, got {top_k!r}"
            raise ConfigError([Problem(message)])
        self.top_k = sorted(set(top_k))
        self._device = torch.device("cpu")
        self.reset()

    def to(self, device: torch.device | str) -> None:
        """Set the device on which the processes exchange their embeddings and neighbours are searched."""
        self._device = torch.device(device)

    def reset(self) -> None:
        """Forget all samples."""
        self._embeddings: list[Tensor] = []
        self._target: list[Tensor] = []

    @torch.no_grad()
    def update(self, embeddings: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            embeddings: (batch, …), flattened.
            target: (batch,) classes.

        Raises:
            DataError: The shapes do not match.
        """
        if embeddings.dim() < 2 or target.shape != embeddings.shape[:1]:
            shapes = f"{tuple(embeddings.shape)} and {tuple(target.shape)}"
            message = f"embeddings must be (batch, …) and targets (batch,), got {shapes}"
            raise DataError(message)
        self._embeddings.append(F.normalize(embeddings.flatten(1).float(), dim=1))
        self._target.append(target)

    @torch.no_grad()
    def compute(self) -> dict[str, float]:
        """Return `at_1`, `at_2`, … over all samples of all processes.

        Raises:
            DataError: A process has no samples, or there are too few for the largest `top_k`.
        """
        if not self._target:
            message = "`RetrievalRecall` has no samples to measure: the loader yielded no batch"
            raise DataError(message)
        embeddings = gather_batch(torch.cat(self._embeddings).to(self._device))
        target = gather_batch(torch.cat(self._target).to(self._device))
        if len(target) <= self.top_k[-1]:
            message = f"`top_k` of {self.top_k[-1]} needs more than {self.top_k[-1]} samples, got {len(target)}"
            raise DataError(message, hint="use smaller numbers of neighbours")
        hits = torch.zeros(len(self.top_k), dtype=torch.int64, device=target.device)
        for start in range(0, len(target), _QUERIES):
            hits += self._hits(embeddings, target, start)
        return {f"at_{k}": count / len(target) for k, count in zip(self.top_k, hits.tolist(), strict=True)}

    def _hits(self, embeddings: Tensor, target: Tensor, start: int) -> Tensor:
        """Return the numbers of samples from `start` on with a hit, (len(top_k),)."""
        similarity = embeddings[start : start + _QUERIES] @ embeddings.T
        rows = torch.arange(len(similarity), device=similarity.device)
        similarity[rows, start + rows] = -torch.inf  # a sample is not its own neighbour
        nearest = similarity.sort(dim=1, descending=True, stable=True).indices[:, : self.top_k[-1]]
        same = (target[nearest] == target[start : start + _QUERIES, None]).cumsum(dim=1) > 0
        return torch.stack([same[:, k - 1].sum() for k in self.top_k])
