"""Where the forwards of a stage end, and a check before a stage of `stop_early: true`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..data import preserve_rng_state
from ..errors import WiringError
from ..taps import Tap
from ._distiller import Batch, Distiller
from ._lazy import same_buffers
from .teachers import ModelSource


def set_stops(
    distiller: Distiller, wanted: bool | None, first: Callable[[], Batch], device: torch.device, key: str
) -> None:
    """Set where forwards end; with `stop_early: true`, check with one batch that each tapped module runs once.

    The check runs the models that learn without gradients. Buffers and random generators are restored.

    Args:
        distiller: The models, on the device, their modes set.
        wanted: `stop_early` of the stage.
        first: Returns the batch, on the device.
        device: The device.
        key: The key of the stage.

    Raises:
        WiringError: A tapped module runs several times in a forward.
    """
    distiller.set_stop(wanted)
    learning = [source for source in distiller.sources if not source.frozen and source.capture.needs_check]
    if not learning or device.type == "meta" or torch.get_default_device().type == "meta":
        return
    needed = {tap.source for source in learning if source.feed for tap in source.feed.taps}
    models = [source.model for source in distiller.sources]
    with preserve_rng_state(device=device), same_buffers(models), torch.no_grad():
        batch, values = first(), dict[Tap, Any]()
        for source in distiller.sources:
            if source in learning:
                _check(source, batch, values, key)
            if source.name in needed:
                values.update(source(batch, values))


def _check(source: ModelSource, batch: Batch, values: dict[Tap, Any], key: str) -> None:
    arguments, keywords = source.arguments(batch, values)
    if not source.capture.check_stop(*arguments, **keywords):
        taps = ", ".join(f"'{tap}'" for tap in source.taps)
        message = f"a module of {taps} runs several times in a forward, or the model must run to its end"
        raise WiringError(message, key=f"{key}.stop_early", hint="omit it, so that the complete forward runs")
