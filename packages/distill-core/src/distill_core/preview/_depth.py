"""How far a model runs in a step, and how much of its work that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from ..hooks import module_names
from ..taps import Tap
from ..train.teachers import ModelSource
from ._describe import describe_source
from ._record import Line
from ._shapes import by_shapes


def depth(source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any], end: str) -> Line:
    """Describe how a model runs: whole, or frozen to the last module that is needed.

    Args:
        source: The model and its taps.
        batch: An example of its batches, on the meta device.
        values: Taps of the models that ran before.
        end: The module after which a frozen model stops; empty for its end.
    """
    if not source.frozen:
        return source.name, "with gradients"
    mode = f"in {'train' if source.model.training else 'eval'} mode {describe_source(source.settings)}".rstrip()
    names = module_names(source.model)
    whole, needed = (_flops(source, batch, values, stop_early=stop_early) for stop_early in (False, True))
    work = f", {_of(needed, whole)} a batch" if whole and needed else ""
    if not end or end not in names:
        return source.name, f"frozen, {mode}, to its end{work}"
    saved = f" ({1 - needed / whole:.0%} saved)" if work and needed < whole else ""
    return source.name, f"frozen, {mode}, to '{end}' (module {names.index(end) + 1} of {len(names)}){work}{saved}"


def _flops(source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any], *, stop_early: bool) -> int:
    """Floating-point operations of a forward; 0 if it cannot run without data."""
    before, source.capture.stop_early = source.capture.stop_early, stop_early
    counter = FlopCounterMode(display=False)

    def count() -> int:
        with counter:
            source(batch, values)
        return int(counter.get_total_flops())

    try:
        return by_shapes(count)
    except Exception:  # noqa: BLE001 — that it fails has been told already
        return 0
    finally:
        source.capture.stop_early = before


def _of(needed: int, whole: int) -> str:
    """Both in one unit.

    >>> _of(341_000_000, 1_002_000_000)
    '0.341 of 1 GFLOPs'
    """
    size, unit = next((pair for pair in ((1e9, "GFLOPs"), (1e6, "MFLOPs")) if whole >= pair[0]), (1, "FLOPs"))
    shown = [f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for number in (needed / size, whole / size)]
    return f"{shown[0]} of {shown[1]} {unit}"
