"""The forward of each model in a step: where it ends, and its floating-point operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from ..hooks import module_names
from ..taps import Tap
from ..train.teachers import ModelSource
from ._record import ForwardPreview
from ._shapes import by_shapes


def depth(source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any], end: str) -> ForwardPreview:
    """Return how a model runs: with gradients, or frozen up to the last module that is needed.

    Args:
        source: The model and its taps.
        batch: An example batch, on the meta device.
        values: Taps of the models that ran before.
        end: The module after which the model stops; empty for its end.
    """
    mode: Any = "train" if source.model.training else "eval"
    names = module_names(source.model)
    stops = end in names
    num_run = names.index(end) + 1 if stops else len(names)
    if not source.frozen:
        return ForwardPreview(
            model=source.name, frozen=False, mode=mode, settings=source.settings,
            last_module=end if stops else "", num_run=num_run, num_modules=len(names),
        )  # fmt: skip
    return ForwardPreview(
        model=source.name,
        frozen=True,
        mode=mode,
        settings=source.settings,
        last_module=end if stops else "",
        num_run=num_run,
        num_modules=len(names),
        flops=_flops(source, batch, values, stop_early=True),
        complete_flops=_flops(source, batch, values, stop_early=False),
    )


def _flops(source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any], *, stop_early: bool) -> int:
    """Return the number of floating-point operations of a forward; 0 if it cannot run without data."""
    before, source.capture.stop_early = source.capture.stop_early, stop_early
    counter = FlopCounterMode(display=False)

    def count() -> int:
        with counter:
            source(batch, values)
        return int(counter.get_total_flops())

    try:
        return by_shapes(count)
    except Exception:  # noqa: BLE001 - the failure is a problem or a note already
        return 0
    finally:
        source.capture.stop_early = before
