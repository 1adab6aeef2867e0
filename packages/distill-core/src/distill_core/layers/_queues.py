"""Queues of embeddings, one per class, equal on all processes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassQueues(nn.Module):
    """Queue of the last embeddings of each class, initialised with random ones of norm 1.

    Args:
        num_classes: Number of queues.
        size: Number of embeddings per queue.
        dim: Length of an embedding.

    >>> queues = ClassQueues(2, size=3, dim=2)
    >>> embedding = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    >>> queues.push(embedding, torch.tensor([[[True], [False]]]))
    >>> queues.next.tolist(), queues.held[0, 0].tolist()
    ([1, 0], [1.0, 0.0])
    """

    held: Tensor
    next: Tensor

    def __init__(self, num_classes: int, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        # One extra slot takes the embeddings to discard, so that no shape depends on the data.
        self.register_buffer("held", F.normalize(torch.randn(num_classes, size + 1, dim), dim=2))
        self.register_buffer("next", torch.zeros(num_classes, dtype=torch.long))

    @torch.no_grad()
    def push(self, embeddings: Tensor, valid: Tensor) -> None:
        """Add embeddings. If more come than a queue holds, the last ones stay.

        Args:
            embeddings: (batch, classes, each, dim).
            valid: (batch, classes, each), True for valid embeddings.
        """
        embeddings, valid = (x.transpose(0, 1).flatten(1, 2) for x in (embeddings, valid))
        rank = valid.cumsum(1) - 1
        count = valid.sum(1, keepdim=True)
        kept = valid & (rank >= count - self.size)
        slot = torch.where(kept, (self.next[:, None] + rank) % self.size, self.size)
        self.held.scatter_(1, slot[:, :, None].expand_as(embeddings), embeddings.to(self.held.dtype))
        self.held[:, self.size] = 0
        self.next.copy_((self.next + count.squeeze(1)) % self.size)

    def draw(self, count: int) -> Tensor:
        """Draw the same random slots of each queue, at least `count` over all classes if there are as many.

        Returns:
            (classes · slots, dim).
        """
        num_slots = min(-(-count // len(self.held)), self.size)
        order = torch.randperm(self.size, device=self.held.device)[:num_slots]
        return self.held[:, order].flatten(0, 1)
