"""GradientReversal: forwards nothing, backwards the other way, as strongly as the schedule says."""

from __future__ import annotations

import pytest
import torch

from distill_core.experiment import StageProgress
from distill_core.layers import GradientReversal


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 2.5])
def test_is_the_identity_and_turns_the_gradient_around(strength: float):
    x = torch.randn(4, requires_grad=True)
    result = GradientReversal(strength)(x)
    result.square().sum().backward()
    assert torch.equal(result, x)
    torch.testing.assert_close(x.grad, -strength * 2 * x.detach())


def test_a_schedule_moves_the_strength():
    reversal = GradientReversal(lambda progress: progress.progress)
    assert reversal.strength.item() == 0
    reversal.set_progress(StageProgress(stage=0, step=3, steps=4, epochs=2))
    assert reversal.strength.item() == 0.75


def test_a_number_stays_what_it_is():
    reversal = GradientReversal(0.5)
    reversal.set_progress(StageProgress(stage=0, step=3, steps=4, epochs=2))
    assert reversal.strength.item() == 0.5
