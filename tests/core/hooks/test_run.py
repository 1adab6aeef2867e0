"""`Capture.run` without a hook, and values that change their kind from call to call."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core.hooks import Capture


@pytest.mark.parametrize("fields", ["", ":out.0"])
def test_run_needs_no_hook_to_see_what_the_model_returns(fields):
    class Pair(nn.Module):
        def forward(self, x):
            return (x + 1, x) if fields else x + 1

    model, x = Pair(), torch.zeros(2)
    capture = Capture(model, [fields]).attach(for_run=True)
    assert not model._forward_hooks
    for _ in range(3):  # the first one learns
        assert torch.equal(capture.run(x)[fields], x + 1)
    with capture as taps:  # here one is needed
        model(x)
    assert torch.equal(taps[fields], x + 1)
    assert torch.equal(capture.run(x)[fields], x + 1)
    capture.detach()
    assert not model._forward_hooks


def test_value_that_is_no_tensor_for_once():
    class Changing(nn.Module):
        def forward(self, x, as_list):
            return [x] if as_list else x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = Changing()

        def forward(self, x, as_list):
            return self.part(x * 2, as_list)

    x = torch.ones(2)
    capture = Capture(Net(), ["part"]).attach()
    for as_list in (False, False, True, False):
        value = capture.run(x, as_list)["part"]
        assert isinstance(value, list) == as_list
        assert torch.equal(value[0] if as_list else value, x * 2)


def test_inference_tensor_where_none_was_before():
    model, x = nn.Sequential(nn.Identity(), nn.ReLU()), torch.ones(2)
    capture = Capture(model, ["0"]).attach()
    for _ in range(3):
        capture.run(x)
    with torch.inference_mode():
        assert torch.equal(capture.run(x * 3)["0"], x * 3)
    assert torch.equal(capture.run(x)["0"], x)
