"""Entities in tagged texts: how many are found whole and named right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError


@final
class EntityF1(nn.Module):
    """Precision, recall and F1 of entities, as CoNLL's shared tasks count them.

    Tags are `O`, `B-TYPE` and `I-TYPE`. An entity begins at `B-`, and at an `I-` that follows `O` or another type; it ends
    where the next word does not go on with `I-` of its type. It is found if begin, end and type are right.

    Erik F. Tjong Kim Sang, Fien De Meulder. "Introduction to the CoNLL-2003 Shared Task". CoNLL 2003.
    https://aclanthology.org/W03-0419/

    Args:
        labels: The tags in the order of the classes.

    >>> metric = EntityF1(["O", "B-PER", "I-PER"])
    >>> metric.update(torch.tensor([[1, 2, 0, 1]]), torch.tensor([[1, 2, 0, 0]]))
    >>> {name: round(value, 4) for name, value in metric.compute().items()}
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6667}

    Raises:
        DataError: A label is no tag.
    """

    percent = True

    counts: Tensor
    kinds: Tensor
    begins: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        wrong = next((label for label in labels if label != "O" and label[:2] not in ("B-", "I-")), None)
        if wrong is not None:
            message = f"the label '{wrong}' is no tag\n  hint: tags are O, B-TYPE and I-TYPE"
            raise DataError(message)
        names = sorted({label[2:] for label in labels if label != "O"})
        kinds = [-1 if label == "O" else names.index(label[2:]) for label in labels]
        self.register_buffer("kinds", torch.tensor(kinds), persistent=False)
        self.register_buffer("begins", torch.tensor([label[:2] == "B-" for label in labels]), persistent=False)
        self.register_buffer("counts", torch.zeros(3, dtype=torch.long), persistent=False)

    def reset(self) -> None:
        """Forget what was seen."""
        self.counts.zero_()

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            preds: (batch, tokens, labels) logits, or (batch, tokens) class numbers.
            target: (batch, tokens) class numbers; −100 where a token counts for nothing.
        """
        tags = preds.argmax(dim=-1) if preds.dim() == 3 else preds
        if tags.shape != target.shape:
            message = f"preds are {tuple(preds.shape)} and target is {tuple(target.shape)}, not (batch, tokens, labels) and (batch, tokens)"
            raise DataError(message)
        found, true = self._entities(tags, target), self._entities(target, target)
        both = torch.isin(found, true).sum()
        counts = torch.stack([both, both.new_tensor(len(found)), both.new_tensor(len(true))])
        self.counts += counts.to(self.counts.device)

    def compute(self) -> dict[str, float]:
        """The metrics over all processes; 0 where there is nothing to find or nothing was found."""
        both, found, true = sum_over_processes(self.counts).tolist()
        return {
            "precision": both / found if found else 0.0,
            "recall": both / true if true else 0.0,
            "f1": 2 * both / (found + true) if found + true else 0.0,
        }

    def _entities(self, tags: Tensor, target: Tensor) -> Tensor:
        """A number for each entity, equal for equal begin, end and type."""
        counted = torch.nn.functional.pad(target != -100, (0, 1), value=True)  # an O after each text ends its entities
        padded = torch.nn.functional.pad(tags.clamp(min=0), (0, 1))
        outside = torch.zeros_like(padded, dtype=torch.bool)
        outside[:, -1] = True
        kinds = self.kinds.to(tags.device)[padded].masked_fill(outside, -1)[counted]
        begins = self.begins.to(tags.device)[padded][counted]
        before, after = kinds.roll(1), kinds.roll(-1)  # the last is an O, so the first has one before it
        first = (kinds >= 0) & (begins | (before != kinds))
        last = (kinds >= 0) & (first.roll(-1) | (after != kinds))
        starts, ends = first.nonzero().squeeze(1), last.nonzero().squeeze(1)
        return (starts * len(kinds) + ends) * (len(self.kinds) + 1) + kinds[starts]
