"""Check before training that the models can read the data.

A data set may have a method `check_model(name, model, inputs)`, where `inputs` maps a model's parameters to the fields of a
batch that they are fed with. It raises `DataError` if the model cannot read the batches, texts that are longer than the
model's positions for example. A data function has the same as an attribute, see `with_example`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ..experiment import Experiment, Inputs
from ..taps import BATCH
from ..wiring import Wiring
from ._label_order import check_label_order
from ._readings import readings
from ._resolved_stage import ResolvedStage


def check_readers(
    models: Mapping[str, nn.Module], experiment: Experiment, stages: Sequence[ResolvedStage]
) -> list[str]:
    """Check each model, and the order of its classes, against the data of every stage and measurement in which it reads them.

    Args:
        models: All models by name.
        experiment: What is run.
        stages: Its stages, with omitted fields filled in.

    Returns:
        What cannot be known without the data, where they are functions that are not called yet.

    Raises:
        DataError: A model cannot read a data set.
        WiringError: A frozen model whose output is read has the classes of the data in another order.
    """
    check_label_order(models, experiment, stages)
    notes: list[str] = []
    for reading in readings(experiment, stages):
        check = method_of_data(reading.data, "check_model")
        fed = fed_fields(reading.wanted, reading.feed).items() if check is not None else ()
        notes += [check(name, models[name], inputs) or "" for name, inputs in fed if name in models]  # type: ignore[misc]
    return list(dict.fromkeys(filter(None, notes)))


def method_of_data(data: Any, name: str) -> Callable[..., Any] | None:
    """Return a method of a loader's data set, or that of a data function that is not called yet; None without one."""
    if isinstance(data, functools.partial):
        of_function = getattr(data.func, name, None)
        return None if of_function is None else functools.partial(of_function, data.args, data.keywords)
    dataset = getattr(data, "dataset", None)
    while dataset is not None and not hasattr(dataset, name):
        dataset = getattr(dataset, "dataset", None)  # of a Subset
    method: Callable[..., Any] | None = getattr(dataset, name, None)
    return method


def fed_fields(wanted: Iterable[Inputs], feed: Mapping[str, Inputs]) -> dict[str, dict[str, str]]:
    """Return for each model that runs which parameter is fed with which field of the batch."""
    wirings = {name: Wiring(inputs, f"feed.{name}") for name, inputs in feed.items()}
    running = {tap.source for inputs in wanted for tap in Wiring(inputs, "inputs").taps}
    for name in reversed(wirings):  # a model is fed by models that run before it
        if name in running:
            running |= {tap.source for tap in wirings[name].taps}
    return {
        name: {
            parameter: ".".join(map(str, tap.fields))
            for parameter, tap in wiring.inputs.items()
            if not isinstance(tap, tuple) and tap.source == BATCH
        }
        for name, wiring in wirings.items()
        if name in running
    }
