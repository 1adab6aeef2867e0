"""The units that the losses of torch average over, as functions and as modules, by `reduction`, `ignore_index` and `weight`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

Unit = Literal["samples", "sum", "elements", "labels"]


@dataclass(frozen=True)
class TorchUnit:
    """The unit that a loss of torch averages over.

    Attributes:
        unit: Samples, nothing (a sum), all elements, or labels.
        count: From `target` to the count of a batch, for elements and labels.
        equal: Whether all labels count the same, so that batches have counts in proportion to their samples.
    """

    unit: Unit
    count: Callable[..., Tensor | int] | None = None
    equal: bool = True


_CLASSES: set[Any] = {F.cross_entropy, F.nll_loss}
_ELEMENTS: set[Any] = {
    F.l1_loss,
    F.mse_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.poisson_nll_loss,
    F.gaussian_nll_loss,
    F.kl_div,
    F.soft_margin_loss,
    F.hinge_embedding_loss,
    F.margin_ranking_loss,
}
_SAMPLES: set[Any] = {
    F.cosine_embedding_loss,
    F.triplet_margin_loss,
    F.triplet_margin_with_distance_loss,
    F.multi_margin_loss,
    F.multilabel_margin_loss,
    F.multilabel_soft_margin_loss,
    F.ctc_loss,
}
_IGNORED = -100
_SETTINGS = ("reduction", "ignore_index", "weight")
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    nn.L1Loss.forward: F.l1_loss,
    nn.NLLLoss.forward: F.nll_loss,
    nn.PoissonNLLLoss.forward: F.poisson_nll_loss,
    nn.GaussianNLLLoss.forward: F.gaussian_nll_loss,
    nn.KLDivLoss.forward: F.kl_div,
    nn.MSELoss.forward: F.mse_loss,
    nn.BCELoss.forward: F.binary_cross_entropy,
    nn.BCEWithLogitsLoss.forward: F.binary_cross_entropy_with_logits,
    nn.HingeEmbeddingLoss.forward: F.hinge_embedding_loss,
    nn.MultiLabelMarginLoss.forward: F.multilabel_margin_loss,
    nn.SmoothL1Loss.forward: F.smooth_l1_loss,
    nn.HuberLoss.forward: F.huber_loss,
    nn.SoftMarginLoss.forward: F.soft_margin_loss,
    nn.CrossEntropyLoss.forward: F.cross_entropy,
    nn.MultiLabelSoftMarginLoss.forward: F.multilabel_soft_margin_loss,
    nn.CosineEmbeddingLoss.forward: F.cosine_embedding_loss,
    nn.MarginRankingLoss.forward: F.margin_ranking_loss,
    nn.MultiMarginLoss.forward: F.multi_margin_loss,
    nn.TripletMarginLoss.forward: F.triplet_margin_loss,
    nn.TripletMarginWithDistanceLoss.forward: F.triplet_margin_with_distance_loss,
    nn.CTCLoss.forward: F.ctc_loss,
}
if hasattr(nn, "LinearCrossEntropyLoss"):  # since torch 2.15
    _CLASSES.add(F.linear_cross_entropy)
    _FUNCTIONS[nn.LinearCrossEntropyLoss.forward] = F.linear_cross_entropy


def torch_unit(loss: Any) -> TorchUnit | None:
    """Return what a loss of torch averages over; None if it is not a loss of torch.

    Args:
        loss: A module of `torch.nn` (or a subclass with the same `forward`), a function of `torch.nn.functional`, or a
            `functools.partial` of one.

    >>> torch_unit(nn.CrossEntropyLoss(reduction="sum")), torch_unit(nn.Linear(1, 1))
    (TorchUnit(unit='sum', count=None, equal=True), None)
    >>> import torch
    >>> torch_unit(nn.CrossEntropyLoss(ignore_index=0)).count(torch.tensor([0, 1, 2]))
    tensor(2)
    """
    function, settings = _function(loss)
    if not isinstance(function, FunctionType) or function not in _CLASSES | _ELEMENTS | _SAMPLES:
        return None
    if any(settings.get(name) is not None for name in ("size_average", "reduce")):  # long deprecated
        return None
    reduction, weight = settings["reduction"], settings.get("weight")
    if reduction == "sum":
        return TorchUnit("sum")
    if function in _CLASSES:
        ignored = _IGNORED if settings.get("ignore_index") is None else settings["ignore_index"]
        return TorchUnit("labels", _labels(ignored, weight), equal=weight is None and ignored == _IGNORED)
    if function in _ELEMENTS and reduction == "mean":
        return TorchUnit("elements", _elements)
    return TorchUnit("samples")


def _function(loss: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the function that computes the loss, and its settings."""
    if isinstance(loss, nn.Module):
        return _FUNCTIONS.get(type(loss).forward), {name: getattr(loss, name, None) for name in _SETTINGS}
    function, given = (loss.func, loss.keywords) if isinstance(loss, functools.partial) else (loss, {})
    if not isinstance(function, FunctionType):
        return None, {}
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    return function, defaults | given


def _labels(ignored: int, of_classes: Tensor | None) -> Callable[..., Tensor | int]:
    """Return the count of a mean over labels: those that are not ignored, each with the weight of its class."""

    def count(target: Tensor, weight: Tensor | None = of_classes) -> Tensor | int:
        if target.is_floating_point():  # probabilities: a mean over positions
            return target.numel() // target.shape[1 if target.dim() > 1 else 0]
        counted = target != ignored
        if weight is None:
            return counted.sum()
        counted, labels = counted.to(weight.device), target.to(weight.device)
        return (weight.detach()[labels.where(counted, 0)] * counted).sum()

    return count


def _elements(target: Tensor) -> int:
    """Return the count of a mean over elements."""
    return target.numel()
