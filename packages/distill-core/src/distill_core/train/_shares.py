"""How much each batch counts for each term of the objective, where batches differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..data import BatchPlan
from ..distributed import world_size
from ..experiment import Term


class Shares:
    """A batch's part in its update, so that each sample counts the same, or each token, wherever it was read.

    Several batches are accumulated, several processes average their gradients; sizes differ. By what a loss declares with
    `batch` (see `distill_core.losses`) its part of a batch is

    * a mean over samples of this process: `processes · own samples / samples of all batches and processes`;
    * of all processes already (`gathered`): `samples of all processes / those of all batches`;
    * of all tokens (`token`): the same with the tokens that count, if the data set says how many each sample has.

    Args:
        terms: The terms of the objective by name.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        self._kinds = {name: getattr(term.loss, "batch", "sample") for name, term in terms.items()}

    def of(self, plan: BatchPlan, number: int, accumulate: int) -> float | dict[str, float]:
        """What a batch's terms are multiplied by: one number, or one for each term where they differ.

        Args:
            plan: The epoch's batches.
            number: The batch.
            accumulate: How many batches make one update.
        """
        if accumulate == 1 and world_size() == 1:
            return 1.0
        begin = number - number % accumulate
        window = slice(begin, begin + accumulate)
        samples = sum(plan.global_sizes[window])
        own = plan.indices[number].shape[0] * world_size() / samples
        whole = plan.global_sizes[number] / samples
        tokens = sum(plan.global_tokens[window])
        of_tokens = plan.global_tokens[number] / tokens if tokens else whole
        if own == whole == of_tokens:
            return own
        known = {"gathered": whole, "token": of_tokens}
        return {name: known.get(kind, own) for name, kind in self._kinds.items()}


def shared_backward(
    backward: Any,
    batch: Mapping[str, Any],
    weights: Mapping[str, float],
    share: float | Mapping[str, float],
    *,
    last: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """A backward pass with the gradients of each term times its share; the objective and its terms as they are.

    Args:
        backward: From batch, weights, a share of all and `last` to the objective and its terms.
        batch: Fields by name.
        weights: The weight of each term.
        share: What `Shares.of` gave.
        last: Whether this is the last batch before the update.
    """
    if isinstance(share, float):
        result: tuple[Tensor, dict[str, Tensor]] = backward(batch, weights, share, last=last)
        return result
    _, terms = backward(batch, {name: weight * share[name] for name, weight in weights.items()}, 1.0, last=last)
    return torch.stack([weights[name] * term.float() for name, term in terms.items()]).sum(), terms
