"""F1 of entities in tagged texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError

from .._ignored import IGNORED


@final
class EntityF1(nn.Module):
    """Precision, recall and F1 of entities, as in CoNLL's shared tasks.

    Tags are `O`, `B-TYPE` and `I-TYPE`. An entity begins at `B-`, or at an `I-` that follows `O` or another type. It ends
    where the next word is not an `I-` of its type. An entity is correct if begin, end and type are.

    Erik F. Tjong Kim Sang, Fien De Meulder. "Introduction to the CoNLL-2003 Shared Task". CoNLL 2003.
    https://aclanthology.org/W03-0419/

    Args:
        labels: The tags in the order of the classes.

    >>> metric = EntityF1(["O", "B-PER", "I-PER"])
    >>> metric.update(torch.tensor([[1, 2, 0, 1]]), torch.tensor([[1, 2, 0, 0]]))
    >>> {name: round(value, 4) for name, value in metric.compute().items()}
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6667}

    Raises:
        DataError: A label is not a tag.
    """

    percent = True

    counts: Tensor
    kinds: Tensor
    begins: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        wrong = next((label for label in labels if label != "O" and label[:2] not in ("B-", "I-")), None)
        if wrong is not None:
            message = f"the label '{wrong}' is not a tag"
            raise DataError(message, hint="use the tags O, B-TYPE and I-TYPE")
        names = sorted({label[2:] for label in labels if label != "O"})
        kinds = [-1 if label == "O" else names.index(label[2:]) for label in labels]
        self.register_buffer("kinds", torch.tensor(kinds), persistent=False)
        self.register_buffer("begins", torch.tensor([label[:2] == "B-" for label in labels]), persistent=False)
        self.register_buffer("counts", torch.zeros(3, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Reset the metric."""
        self.counts.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (batch, tokens, labels) logits, or (batch, tokens) class indices.
            target: (batch, tokens) class indices, −100 for ignored tokens.
        """
        tags = preds.argmax(dim=-1) if preds.dim() == 3 else preds
        if tags.shape != target.shape:
            shapes = f"{tuple(preds.shape)} and {tuple(target.shape)}"
            message = f"`preds` and `target` must be (batch, tokens, labels) and (batch, tokens), got {shapes}"
            raise DataError(message)
        predicted, true = self._entities(tags, target), self._entities(target, target)
        correct = torch.isin(predicted, true).sum()
        counts = torch.stack([correct, correct.new_tensor(len(predicted)), correct.new_tensor(len(true))])
        self.counts += counts.to(self.counts.device)

    def compute(self) -> dict[str, float]:
        """Return the metrics over all processes, 0 without true or predicted entities."""
        correct, predicted, true = sum_over_processes(self.counts).tolist()
        return {
            "precision": correct / predicted if predicted else 0.0,
            "recall": correct / true if true else 0.0,
            "f1": 2 * correct / (predicted + true) if predicted + true else 0.0,
        }

    def _entities(self, tags: Tensor, target: Tensor) -> Tensor:
        """Return an identifier of each entity, equal for equal begin, end and type."""
        counted = torch.nn.functional.pad(
            target != IGNORED, (0, 1), value=True
        )  # an O after each text ends its entities
        padded = torch.nn.functional.pad(tags.clamp(min=0), (0, 1))
        outside = torch.zeros_like(padded, dtype=torch.bool)
        outside[:, -1] = True
        kinds = self.kinds.to(tags.device)[padded].masked_fill(outside, -1)[counted]
        begins = self.begins.to(tags.device)[padded][counted]
        before, after = kinds.roll(1), kinds.roll(-1)  # the last one is an O, which roll puts before the first
        first = (kinds >= 0) & (begins | (before != kinds))
        last = (kinds >= 0) & (first.roll(-1) | (after != kinds))
        starts, ends = first.nonzero().squeeze(1), last.nonzero().squeeze(1)
        return (starts * len(kinds) + ends) * (len(self.kinds) + 1) + kinds[starts]
