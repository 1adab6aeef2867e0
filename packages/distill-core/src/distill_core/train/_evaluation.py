"""Metrics over a complete dataset, exact on any number of processes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..data import BatchPlan, Loader, SeedPath, Stream, as_loader
from ..errors import TrainingError
from ..experiment import Evaluation, Inputs, Metric
from ..tree import to_device
from ..wiring import Wiring, check_signature
from ._distiller import batch_values
from .parallel import is_sharded
from .teachers import sources_for


def evaluate(
    models: Mapping[str, nn.Module],
    evaluation: Evaluation,
    feed: Mapping[str, Inputs] | None = None,
    device: torch.device | str = "cpu",
    *,
    limit: int | None = None,
    whole: bool = False,
) -> dict[str, float]:
    """Run the models that the metrics read over all samples, in eval mode and without gradients.

    Args:
        models: All models by name.
        evaluation: The loader and the metrics with their wiring.
        feed: Model → wiring of its inputs, unless the evaluation has its own.
        device: Where the models are.
        limit: Number of batches to evaluate; all by default.
        whole: Give each process all samples instead of its part, for metrics that do not gather.

    Returns:
        Metric → value. A metric that computes several values gives one entry each, `name.part`.

    Raises:
        WiringError: A tap or a parameter does not exist.
    """
    loader = as_loader(evaluation.loader)
    with measuring(models, evaluation, feed, device) as (sources, measure):
        for batch, counts in _batches(loader, sources, limit, _whole_plan(loader) if whole else None):
            measure(batch, counts)
    return _computed(evaluation.metrics)


@contextlib.contextmanager
def measuring(
    models: Mapping[str, nn.Module],
    evaluation: Evaluation,
    feed: Mapping[str, Inputs] | None,
    device: torch.device | str,
) -> Iterator[tuple[Sequence[nn.Module], Callable[[Mapping[str, Any], bool], None]]]:
    """Reset the metrics of an evaluation, and put its models into eval mode within the context, without gradients.

    Yields:
        The models that the metrics read, and a function that runs them on a batch and, if that counts, updates the metrics.

    Raises:
        WiringError: A tap or a parameter does not exist.
    """
    metrics = evaluation.metrics
    feed = feed if evaluation.feed is None else evaluation.feed
    wirings = {name: Wiring(entry.inputs, f"metrics.{name}") for name, entry in metrics.items()}
    for name, entry in metrics.items():
        wirings[name].check_sources(models)
        wirings[name].complete_features(models)
        check_signature(entry.metric, entry.inputs, f"metrics.{name}")
        _to(entry.metric, device)
        entry.metric.reset()
    sources = sources_for(models, list(wirings.values()), (), feed)
    modes = [(module, module.training) for source in sources for module in source.model.modules()]
    for source in sources:
        source.attach()
        source.model.eval()

    def measure(cpu_batch: Mapping[str, Any], counts: bool) -> None:
        batch = to_device(cpu_batch, device)
        values: dict[Any, Any] = {}
        for source in sources:
            values.update(source(batch, values))
        for name, wiring in wirings.items() if counts else ():
            values.update(batch_values(wiring.taps, batch, values))
            _update(metrics[name].metric, wiring.kwargs(values), name)

    try:
        with torch.no_grad():
            yield [source.model for source in sources], measure
    finally:
        for source in sources:
            source.detach()
        for module, training in modes:
            module.training = training


def _whole_plan(loader: Loader) -> BatchPlan:
    batches = torch.split(loader.order(SeedPath()), loader.batch_size)
    return BatchPlan(batches, [len(batch) for batch in batches])


def _update(metric: Any, inputs: Mapping[str, Any], name: str) -> None:
    """Add a batch to a metric.

    Raises:
        TrainingError: It cannot measure values of these shapes.
    """
    try:
        metric.update(**inputs)
    except (ValueError, IndexError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        shapes = [f"{key} {tuple(value.shape)}" for key, value in inputs.items() if isinstance(value, Tensor)]
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"{type(metric).__name__} cannot measure a batch of {', '.join(shapes) or 'these values'}: {reason}"
        hint = "give a metric for such values, or correct its `inputs`; --debug prints the traceback"
        raise TrainingError(message, key=f"metrics.{name}", hint=hint) from error


def _batches(
    loader: Loader, models: Sequence[nn.Module], limit: int | None = None, plan: BatchPlan | None = None
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the batches of this process, and whether they count.

    A sharded model runs only on all processes together: one that has fewer batches than the others runs it on its first
    sample, for nothing.
    """
    done = 0
    for batch in itertools.islice(loader.batches(SeedPath(), plan=plan), limit):
        done += 1
        yield batch, True
    if plan is None and any(map(is_sharded, models)):
        if isinstance(loader, Stream):
            message = "a stream has no length, and a sharded model needs an equal number of batches on each process"
            raise TrainingError(message, hint="evaluate it on a dataset with a length")
        for _ in range(min(len(loader), limit or len(loader)) - done):
            alone = BatchPlan([torch.zeros(1, dtype=torch.long)], [1])
            for batch in loader.batches(SeedPath(), plan=alone):
                yield batch, False


def _to(metric: Any, device: torch.device | str) -> None:
    if hasattr(metric, "to"):
        metric.to(device)


def _computed(metrics: Mapping[str, Metric]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, entry in metrics.items():
        computed = entry.metric.compute()
        for part, value in computed.items() if isinstance(computed, Mapping) else [("", computed)]:
            try:
                values[f"{name}.{part}" if part else name] = float(value)
            except (TypeError, ValueError) as error:
                message = f"{type(entry.metric).__name__} gave {type(value).__name__}, not a number"
                raise TrainingError(message, key=f"metrics.{name}") from error
    return values
