"""Every loss of encoders in a stage: to resume it changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ...core.losses.stages import apply, differences, experiment, resumed_at_every_step, run
from .cases import CASES, MASK


def inputs_of(name: str) -> dict[str, Any]:
    """Return the arguments of a loss's `forward` for a batch of eight samples."""
    _, student, teacher, _, masked = CASES[name]
    inputs = {"student": student(), "teacher": teacher(), **({"mask": MASK} if masked else {})}
    return apply(lambda value: value.repeat(3, *[1] * (value.dim() - 1))[:8], inputs, every=True)


@pytest.mark.parametrize("name", CASES)
def test_resumed_at_every_step_equals_the_undisturbed_run(name, tmp_path):
    def made():
        torch.manual_seed(1)
        return experiment(CASES[name][0](), inputs_of(name))

    undisturbed = run(made())
    assert undisturbed
    assert differences(resumed_at_every_step(made, tmp_path), undisturbed) == []
