"""Partial forwards of models that read values, up to the first value that is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..errors import WiringError
from ..hooks import Capture
from ..taps import Tap
from ..train.teachers import ModelSource
from ..tree import to_device
from ._shapes import as_if_compiled, needs_data, shapes_only


def as_far_as_it_goes(
    source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any]
) -> tuple[dict[Tap, Any], str]:
    """Run a model that cannot run to its end without data, and return the taps that it reached.

    Detectors choose boxes by their scores, after the features and heads that methods tap. Tensors that such a model
    creates itself, such as sizes, have data.

    Args:
        source: The model and its taps.
        batch: An example batch: tensors on the meta device, and small ones whose values a model reads on the CPU.
        values: Taps of the models that ran before.

    Returns:
        The values of the taps, and the module after which a run ends the forward; empty for the model's end.

    Raises:
        Exception: The model fails before it reads a value.
    """
    plain = _reached(source, batch, values)
    if len(plain[0]) == len(source.taps):
        return plain
    with contextlib.suppress(Exception), as_if_compiled():  # a model may fail only because it is not compiled
        compiled = _reached(source, batch, values)
        return max(plain, compiled, key=lambda reached: len(reached[0]))
    return plain


def _reached(source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> tuple[dict[Tap, Any], str]:
    reached: dict[Tap, Any] = {}
    capture = Capture(
        source.model, [tap.address for tap in source.taps], stop_early=source.capture.stop_early, name=source.name
    )
    with capture as captured:
        try:
            with shapes_only():
                source(batch, values)
        except Exception as error:
            if not needs_data(error):
                raise
        for tap in source.taps:
            with contextlib.suppress(WiringError):
                reached[tap] = to_device(captured[tap.address], "meta")
        end = capture.end_so_far()
    return reached, end if len(reached) == len(source.taps) else ""
