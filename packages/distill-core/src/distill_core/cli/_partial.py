"""What a model gives before it asks for a number where there are only shapes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import WiringError
from ..hooks import Capture
from ..taps import Tap
from ..train._source import ModelSource
from ..tree import to_device


def as_far_as_it_goes(source: ModelSource, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> dict[Tap, Any]:
    """Run a model that cannot run to its end without data, and keep the taps that it reached.

    Detectors choose boxes by their scores, after the features and heads that methods tap. Numbers that such a model
    makes for itself, of sizes for example, are real here.

    Args:
        source: The model and its taps.
        batch: An example of its batches; tensors on the meta device, and small ones that a model looks into on the CPU.
        values: Taps of the models that ran before.
    """
    reached: dict[Tap, Any] = {}
    with Capture(source.model, [tap.address for tap in source.taps], name=source.name) as captured:
        with torch.device("cpu"), contextlib.suppress(Exception):  # why it ends has been told
            source(batch, values)
        for tap in source.taps:
            with contextlib.suppress(WiringError):
                reached[tap] = to_device(captured[tap.address], "meta")
    return reached
