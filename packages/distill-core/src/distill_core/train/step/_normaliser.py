"""The count that each term averages over: samples, what its loss counts, nothing (a sum), or unknown."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from ...errors import WiringError
from ...experiment import Term
from ...hooks import unwrap
from ...taps import BATCH, Tap
from ...wiring import Wiring, check_signature
from ._torch_counts import torch_unit

Unit = Literal["samples", "count", "sum", "unknown"]
Count = Tensor | int | None
_SCOPES = ("sample", "gathered", "token", "local", "unknown")


@dataclass(frozen=True)
class Normaliser:
    """The count that one term averages over.

    Attributes:
        unit: `samples`; `count`: what `count` gives; `sum`: nothing, values add up; `unknown`.
        gathered: Whether a process's value is that of all processes' batches already.
        depends_on_batch: Whether samples are compared with each other or with earlier ones, so that no weights make the
            parts of a batch equal to the batch.
        local: The same of the parts that several processes have.
        count: From inputs of the loss to the count of a batch; None stands for one that is proportional to the samples.
        wiring: The inputs of `count`.
        proportional: Whether the samples may stand for a count that no batch gives.
    """

    unit: Unit
    gathered: bool = False
    depends_on_batch: bool = False
    local: bool = False
    count: Callable[..., Count] | None = None
    wiring: Wiring | None = None
    proportional: bool = False

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The taps that `count` reads."""
        return self.wiring.taps if self.wiring is not None else ()

    def counted(self, values: Mapping[Tap, Any]) -> Count:
        """Return the count of a batch with these values of the taps."""
        assert self.count is not None and self.wiring is not None  # noqa: S101, PT018  only asked of a count
        return self.count(**self.wiring.kwargs(values))


def normaliser(name: str, term: Term) -> Normaliser:
    """Return what a term averages over: as its loss declares, as is known of a loss of torch, or as the term says.

    Args:
        name: The term's name, for messages.
        term: The term.

    Raises:
        WiringError: `averages_over` of the term is malformed, or its loss says already what it averages over.
    """
    loss = unwrap(term.loss) if isinstance(term.loss, nn.Module) else term.loss
    known = _declared(name, term, loss) or _of_torch(name, term, loss)
    given = term.averages_over
    if known is None:
        return Normaliser("unknown") if given is None else _said(name, given)
    if given is None:
        return known
    if known.depends_on_batch and given == "samples":
        return replace(known, depends_on_batch=False, local=False)
    message = f"`averages_over` is {given!r}, but {kind_of(loss)} declares itself what it averages over"
    raise WiringError(message, key=f"losses.{name}", hint="omit `averages_over`")


def kind_of(loss: Any) -> str:
    """Return the name of a loss's class or function."""
    function = getattr(loss, "func", loss)
    return getattr(function, "__name__", type(function).__name__)


def _declared(name: str, term: Term, loss: Any) -> Normaliser | None:
    """Return what the attributes `reduction_scope`, `decomposes` and `count` of the loss declare."""
    old = getattr(type(loss), "batch", None)
    if isinstance(old, str) and old in _SCOPES:
        message = f"{kind_of(loss)} declares `batch = {old!r}`, which is called `reduction_scope`"
        raise WiringError(message, key=f"losses.{name}", hint=f"write `reduction_scope = {old!r}` in the class")
    scope, count = getattr(loss, "reduction_scope", None), getattr(loss, "count", None)
    if scope == "unknown" or not (isinstance(scope, str) or callable(count)):
        return None
    gathered = scope in ("gathered", "token")
    known = Normaliser("samples", gathered)
    if callable(count) or scope == "token":
        known = _counting(name, term, count if callable(count) else masked, gathered=gathered)
    depends = not getattr(loss, "decomposes", scope not in ("gathered", "local"))
    return replace(known, depends_on_batch=depends, local=scope == "local")


def averages_elements(name: str, term: Term) -> bool:
    """Return whether a term's value is a mean over all elements or tokens of models' outputs, without a mask."""
    loss = unwrap(term.loss) if isinstance(term.loss, nn.Module) else term.loss
    known = normaliser(name, term)
    if known.taps or known.unit not in ("samples", "count"):
        return False
    found = torch_unit(loss)
    return getattr(loss, "reduction_scope", None) == "token" or (found is not None and found.unit == "elements")


def masked(mask: Tensor | None = None) -> Count:
    """Return the count of a loss that declares `token`: the tokens that its `mask` counts; all without one."""
    return None if mask is None else mask.bool().sum()


def _counting(name: str, term: Term, count: Callable[..., Count], *, gathered: bool) -> Normaliser:
    takes = inspect.signature(count).parameters
    wired = {parameter: tap for parameter, tap in term.inputs.items() if parameter in takes}
    check_signature(count, wired, f"losses.{name}.count")
    return Normaliser("count", gathered, count=count, wiring=Wiring(wired, f"losses.{name}"))


def _of_torch(name: str, term: Term, loss: Any) -> Normaliser | None:
    found = torch_unit(loss)
    if found is None:
        return None
    if found.unit == "sum":
        return Normaliser("sum")
    if found.count is None or "target" not in term.inputs:
        return Normaliser("samples")
    known = _counting(name, term, found.count, gathered=False)
    if found.unit == "elements" and any(tap.source != BATCH for tap in known.taps):
        return Normaliser("samples")  # elements of a model's output: as many for each sample
    return replace(known, proportional=found.equal)


def _said(name: str, given: Any) -> Normaliser:
    """Return what `averages_over` of the term sets."""
    if given == "samples":
        return Normaliser("samples")
    if given == "sum":
        return Normaliser("sum")
    where = f"losses.{name}.averages_over"
    if not isinstance(given, str) or "." not in given:
        message = f"`averages_over` is 'samples', 'sum' or the tap of a mask whose sum is the count ('batch.mask'), not {given!r}"
        raise WiringError(message, key=where)
    return Normaliser("count", count=lambda mask: mask.sum(), wiring=Wiring({"mask": given}, where))
