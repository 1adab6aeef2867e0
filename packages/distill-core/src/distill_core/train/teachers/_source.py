"""A model as a source of tensors: fed from the batch, tapped by hooks, stopped early where it is frozen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import nn

from ...errors import WiringError, did_you_mean
from ...experiment import Inputs, SourceSettings
from ...hooks import Capture
from ...taps import BATCH, Tap
from ...wiring import Wiring, check_signature, model_taps, read_batch
from ._compiled import compiled
from ._pad_batch import PadBatch
from ._precision import in_precision


class ModelSource:
    """One model of a step, live.

    Args:
        name: The model's name in the taps.
        model: The model; it is not a submodule of anything here.
        taps: The taps to record.
        feed: The wiring of its inputs; `batch.input` as the first argument if there is none.
        frozen: Run it without gradients. Its forward ends after the last tapped module.

    Attributes:
        padding: Pads small batches of a frozen model, if set.
        settings: How a frozen model runs.
        limits: Address of a value of a frozen model → number of entries to keep of its last dimension.
    """

    def __init__(self, name: str, model: nn.Module, taps: Sequence[Tap], feed: Inputs | None, *, frozen: bool) -> None:
        self.name = name
        self.model = model
        self.taps = tuple(dict.fromkeys(taps))
        self.frozen = frozen
        self.padding: PadBatch | None = None
        self.settings = SourceSettings()
        self.limits: dict[str, int] = {}
        self._forward: Callable[..., dict[str, Any]] | None = None
        self.feed = Wiring(feed, f"feed.{name}") if feed else None
        if feed:
            check_signature(model, feed, f"feed.{name}")
        self.capture = Capture(model, [tap.address for tap in self.taps], stop_early=True, name=name)

    def set_stop(self, wanted: bool | None) -> None:
        """Set whether the forward ends after the last tapped module; see `Stage.stop_early`."""
        self.capture.stop_early = "always" if wanted else self.frozen or wanted is None

    def attach(self) -> None:
        """Place the hooks."""
        self.capture.attach(for_run=True)
        shapes_only = any(parameter.is_meta for parameter in islice(self.model.parameters(), 1))
        if self.frozen and not shapes_only:  # with the hooks in their places: later ones would not be compiled
            self._forward = compiled(self.capture.run, self.settings.compile, f"sources.{self.name}.compile")

    def detach(self) -> None:
        """Remove the hooks."""
        self.capture.detach()
        self._forward = None

    def __call__(self, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> dict[Tap, Any]:
        """Run the model on a batch and return the value of each of its taps.

        Args:
            batch: Fields by name.
            values: Taps of the models that ran before; a feed may use them.
        """
        return dict(zip(self.taps, self.run(batch, values), strict=True))

    def arguments(self, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the inputs of the model by position and by name."""
        if self.feed is None:
            return (read_batch(batch, _INPUT),), {}
        known = {tap: read_batch(batch, tap) if tap.source == BATCH else values[tap] for tap in self.feed.taps}
        return (), self.feed.kwargs(known)

    def run(self, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> Iterable[Any]:
        """Run the model on a batch and return the values of its taps in order."""
        arguments, keywords = self.arguments(batch, values)
        if not self.frozen:
            return self.capture.run(*arguments, **keywords).values()
        with torch.no_grad():
            if self.padding is None or self.model.training or "index" not in batch:
                return self._run(arguments, keywords)
            return self.padding(self._run, arguments, keywords, batch["index"].shape[0])

    def _run(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[Any]:
        """Return the values of a frozen model."""
        forward = self._forward or self.capture.run
        if self.settings.precision is None:
            values = list(forward(*arguments, **keywords).values())
        else:
            values = in_precision(self.settings.precision, forward, arguments, keywords)
        if not self.limits:
            return values
        limits = [self.limits.get(tap.address) for tap in self.taps]
        return [value[..., :limit] if limit else value for value, limit in zip(values, limits, strict=True)]


_INPUT = Tap.parse("batch.input")


def sources_for(
    models: Mapping[str, nn.Module],
    wirings: Sequence[Wiring],
    trained: Collection[str],
    feed: Mapping[str, Inputs] | None,
) -> list[ModelSource]:
    """Return the models that must run for these wirings, in document order; a model that nothing reads is omitted.

    Raises:
        WiringError: A tap or a feed names no model, or a feed reads a model that runs later.
    """
    feed = feed or {}
    feeds = {name: Wiring(inputs, f"feed.{name}") for name, inputs in feed.items()}
    order = list(models)
    for name, wiring in feeds.items():
        if name not in models:
            message = f"there is no model '{name}'"
            raise WiringError(message, key="feed", hint=did_you_mean(name, models))
        wiring.check_sources(models)
        for tap in wiring.taps:
            if tap.source in models and order.index(tap.source) >= order.index(name):
                message = f"'{tap}' is known only after '{tap.source}' has run"
                raise WiringError(message, key=f"feed.{name}", hint=f"list '{tap.source}' before '{name}' under models")
    wanted = {name: list(found) for name, found in model_taps(wirings).items()}
    for name in reversed(order):
        if name in wanted and name in feeds:
            for source, found in model_taps([feeds[name]]).items():
                wanted.setdefault(source, []).extend(found)
    return [
        ModelSource(name, models[name], wanted[name], feed.get(name), frozen=name not in trained)
        for name in order
        if name in wanted
    ]
