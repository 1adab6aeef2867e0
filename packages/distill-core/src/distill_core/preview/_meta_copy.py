"""Copies of models and losses without data."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..errors import WiringError
from ..experiment import Experiment, Inherit


def on_meta(experiment: Experiment) -> Experiment:
    """Return the experiment with copies of its models and losses on the meta device.

    The copies hold no data and share with each other what the originals share. An experiment whose tensors are all on the
    meta device is returned as it is.

    Raises:
        WiringError: A model or a loss cannot be copied.
    """
    tensors = [tensor for module in _modules(experiment) for tensor in chain(module.parameters(), module.buffers())]
    if all(tensor.is_meta for tensor in tensors):
        return experiment
    memo: dict[int, Any] = {id(tensor): _without_data(tensor) for tensor in tensors}
    memo |= {id(stage.data): stage.data for stage in experiment.stages}
    try:
        models, stages = copy.deepcopy((dict(experiment.models), list(experiment.stages)), memo)
    except Exception as error:
        message = (
            f"a model or a loss cannot be copied, so its shapes cannot be previewed: {type(error).__name__}: {error}"
        )
        raise WiringError(message) from error
    return replace(experiment, models=models, stages=stages)


def _modules(experiment: Experiment) -> Iterator[nn.Module]:
    yield from experiment.models.values()
    for stage in experiment.stages:
        terms = {} if isinstance(stage.losses, Inherit) else stage.losses
        yield from (term.loss for term in terms.values() if isinstance(term.loss, nn.Module))


def _without_data(tensor: Any) -> torch.Tensor:
    if is_lazy(tensor):
        kind: Any = type(tensor)
        lazy: torch.Tensor = kind(requires_grad=tensor.requires_grad, device="meta", dtype=tensor.dtype)
        return lazy
    empty: torch.Tensor = tensor.detach().to("meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
