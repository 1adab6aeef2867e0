"""Every loss of encoders in a stage: to resume it changes nothing."""

from __future__ import annotations

import pytest
import torch

from ...core.losses.stages import apply, differences, experiment, resumed_at_every_step, run
from .test_derivations import CASES, MASK


@pytest.mark.parametrize("name", CASES)
def test_resumed_at_every_step_equals_the_undisturbed_run(name, tmp_path):
    make, student, teacher, _, masked = CASES[name]

    def made():
        torch.manual_seed(1)
        loss, inputs = make(), {"student": student(), "teacher": teacher(), **({"mask": MASK} if masked else {})}
        return experiment(loss, apply(lambda value: value.repeat(3, *[1] * (value.dim() - 1))[:8], inputs, every=True))

    undisturbed = run(made())
    assert undisturbed
    assert differences(resumed_at_every_step(made, tmp_path), undisturbed) == []
