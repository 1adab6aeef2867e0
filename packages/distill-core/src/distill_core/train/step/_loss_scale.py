"""The scale of each batch's loss terms, if several batches make one update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from ...data import BatchPlan
from ...distributed import sum_over_processes, world_size
from ...errors import WiringError
from ...experiment import Term
from ...taps import BATCH, Tap
from ...wiring import read_batch
from ..teachers import ModelSource
from ._count_window import count_table, longest_window
from ._normaliser import Count, Normaliser, normaliser

Number = float | Tensor
Values = Mapping[str, Sequence[Any]]
"""Frozen model → the values of its taps, for those that ran before the batch's step."""


@dataclass(frozen=True)
class LossScale:
    """The scale of a batch in its update.

    Attributes:
        gradient: What the terms are multiplied by: one number, or one for each where they differ.
        logged: The same so that the mean over the samples of an update is its value; None stands for 1.
        values: What frozen models gave for this batch already.
    """

    gradient: float | Mapping[str, Number] = 1.0
    logged: Mapping[str, Number] | None = None
    values: Values = field(default_factory=dict)


ALONE = LossScale()


class LossScales:
    """Divides each update among its batches, so that it does not depend on how its samples were cut into batches.

    Several batches are accumulated, several processes average their gradients; each batch's loss is a mean by itself.
    With N what a term's loss averages over (`_normaliser`), its part of a batch is

    * `processes · own N / N of all batches and processes`, for the mean over a process's own batch;
    * `N of all processes / N of all batches and processes`, where a loss has the batches of all processes (`gathered`);
    * `processes` for a sum.

    Samples are known from the plan. Other counts come from the batch (labels, masks), so the batches of an update are
    read before the first of them is trained on; a frozen model that gives a mask runs then, too, and only then. Several
    processes read further ahead (`longest_window`), so that they add up the counts of several updates at once.

    Args:
        terms: The terms of the objective by name.
        sources: The models that run.
        device: Where the losses are.

    Raises:
        WiringError: A count is read from a model that learns.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        sources: Sequence[ModelSource] = (),
        device: torch.device = torch.device("cpu"),  # noqa: B008  immutable
    ) -> None:
        learning = {source.name for source in sources if not source.frozen}
        self.normalisers = {name: _before(name, normaliser(name, term), learning) for name, term in terms.items()}
        self._sources, self._device = sources, device

    def of_batches(
        self,
        batches: Iterable[dict[str, Any]],
        plan: BatchPlan,
        start: int,
        accumulate: int,
        before: Callable[[int, dict[str, Any], Sequence[str]], tuple[dict[str, Any], Values]],
        *,
        ahead: bool = True,
    ) -> Iterator[tuple[dict[str, Any], LossScale]]:
        """Pair the batches of an epoch with their scales.

        Args:
            batches: Those from number `start` on, as the loader gives them.
            plan: The epoch's batches.
            start: The number of the first one, which begins an update.
            accumulate: Number of batches of one update.
            before: Runs frozen models on a batch before its step: from its number, the batch and their names to the
                batch on the device and their values.
            ahead: Whether batches of later updates may be read; not those of a stream, whose state a checkpoint holds.
        """
        if accumulate == 1 and world_size() == 1:
            for batch in batches:
                yield batch, ALONE
            return
        counting = self._counting(accumulate)
        if not counting:
            yield from ((batch, self.planned(plan, number, accumulate)) for number, batch in enumerate(batches, start))
            return
        taps = [tap for name in counting for tap in self.normalisers[name].taps]
        models = self._needed({tap.source for tap in taps} - {BATCH})
        reader = iter(batches)
        waiting = list(islice(reader, accumulate))
        longest = None if ahead and world_size() > 1 and not models else accumulate
        while waiting:
            window, waiting = waiting, []
            values: list[Values] = [{}] * len(window)
            if models:
                prepared = [before(number, batch, models) for number, batch in enumerate(window, start)]
                window, values = [batch for batch, _ in prepared], [given for _, given in prepared]
            rows = [self._counts(counting, *pair) for pair in zip(window, values, strict=True)]
            if longest is None:
                longest = longest_window(window, rows, accumulate, self._device)
            # Two for each batch that is trained on: the window doubles, and no step waits for many batches at once.
            num_read = 2 if 2 * len(window) <= longest else 1
            for number, share in enumerate(self._shared(plan, start, counting, rows, accumulate)):
                yield window[number], LossScale(*share, values[number])
                window[number], values[number] = {}, {}  # it is not needed any more
                if longest > accumulate:
                    waiting += islice(reader, num_read)
            waiting = waiting or list(islice(reader, accumulate))
            start += len(rows)

    def planned(self, plan: BatchPlan, number: int, accumulate: int) -> LossScale:
        """Return the scale of a batch if it follows from the plan alone.

        Args:
            plan: The epoch's batches.
            number: The batch.
            accumulate: How many batches make one update.
        """
        if accumulate == 1 and world_size() == 1:
            return ALONE
        own, parts = self._parts(plan, number, accumulate)
        if all(part == own for part in parts.values()):
            return LossScale(own)
        return LossScale(parts, {name: part / own for name, part in parts.items()})

    def _parts(self, plan: BatchPlan, number: int, accumulate: int) -> tuple[float, dict[str, Number]]:
        """Return the scales that follow from the plan: of this process's samples, and of each term."""
        begin = number - number % accumulate
        samples = sum(plan.global_sizes[begin : begin + accumulate])
        processes = world_size()
        own = plan.indices[number].shape[0] * processes / samples
        gathered = plan.global_sizes[number] / samples
        return own, {
            name: float(processes) if entry.unit == "sum" else gathered if entry.gathered else own
            for name, entry in self.normalisers.items()
        }

    def _counting(self, accumulate: int) -> list[str]:
        """Return the terms whose scale depends on the content of the batches."""
        if accumulate == 1 and world_size() == 1:
            return []
        counted = {name: entry for name, entry in self.normalisers.items() if entry.unit == "count" and entry.taps}
        return [name for name, entry in counted.items() if accumulate > 1 or not entry.gathered]

    def _needed(self, models: set[str]) -> list[str]:
        """Return these models and those that feed them."""
        for source in reversed(self._sources):
            if source.name in models and source.feed is not None:
                models |= {tap.source for tap in source.feed.taps if tap.source != BATCH}
        return [source.name for source in self._sources if source.name in models]

    def _counts(self, names: Sequence[str], batch: Mapping[str, Any], values: Values) -> list[Count]:
        known: dict[Tap, Any] = {}
        for source in self._sources:
            if source.name in values:
                known.update(zip(source.taps, values[source.name], strict=True))
        entries = [self.normalisers[name] for name in names]
        of_batch = {tap: read_batch(batch, tap) for entry in entries for tap in entry.taps if tap.source == BATCH}
        return [entry.counted(known | of_batch) for entry in entries]

    def _shared(
        self, plan: BatchPlan, begin: int, names: Sequence[str], rows: Sequence[Sequence[Count]], accumulate: int
    ) -> Iterator[tuple[Mapping[str, Number], Mapping[str, Number]]]:
        """Yield for each batch of some updates the `gradient` and `logged` of its `LossScale`."""
        sizes = [plan.indices[begin + number].shape[0] for number in range(len(rows))]
        own = count_table(rows, sizes, self._device)
        every = sum_over_processes(own)
        gathered = torch.tensor([self.normalisers[name].gathered for name in names], device=own.device)
        counts = torch.where(gathered, every, own * world_size())
        for first in range(0, len(rows), accumulate):
            update = slice(first, first + accumulate)
            totals, num_batches = every[update].sum(0), len(rows[update])
            # Where nothing counts, a loss is 0 or NaN as it would be of one batch.
            found = torch.where(totals > 0, counts[update] / totals, 1 / num_batches)
            for number, row in enumerate(found, begin + first):
                share, parts = self._parts(plan, number, accumulate)
                every_part = parts | dict(zip(names, row.unbind(), strict=True))
                logged = {name: part / share for name, part in parts.items()}
                yield every_part, logged | dict(zip(names, (row / share).unbind(), strict=True))


def scaled_backward(
    backward: Any, batch: Mapping[str, Any], weights: Mapping[str, float], share: LossScale, *, last: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a backward pass with the gradient of each term times its scale.

    Args:
        backward: From batch, weights, a share of all, `last` and values of frozen models to the objective and its terms.
        batch: Fields by name.
        weights: The weight of each term.
        share: The batch's.
        last: Whether this is the last batch before the update.

    Returns:
        The objective and its terms as they are logged: their means over samples are those that are trained on.
    """
    parts = share.gradient
    if isinstance(parts, float):
        total, terms = backward(batch, weights, parts, last=last, given=share.values)
    else:
        own = {name: weight * parts[name] for name, weight in weights.items()}
        total, terms = backward(batch, own, 1.0, last=last, given=share.values)
    if share.logged is None:
        return total, terms
    logged = {name: _logged(term, share.logged[name]) for name, term in terms.items()}
    return torch.stack([weights[name] * term for name, term in logged.items()]).sum(), logged


def _logged(term: Tensor, part: Number) -> Tensor:
    """Return a term times its scale; 0 if the scale is 0, because a mean over nothing is NaN."""
    value = term.float()
    if not isinstance(part, Tensor):
        return value if part == 1 else value * part
    return torch.where(part == 0, 0, value * part)


def _before(name: str, entry: Normaliser, learning: set[str]) -> Normaliser:
    """`entry`, if what it counts is known before the step."""
    late = next((tap for tap in entry.taps if tap.source in learning), None)
    if late is None:
        return entry
    if entry.proportional:
        return Normaliser("samples")
    message = f"what it averages over is read from '{late}', a model that learns"
    raise WiringError(
        message, key=f"losses.{name}", hint="read labels and masks from the batch, or from a frozen model"
    )
