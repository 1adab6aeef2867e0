"""In training mode, forwards end early only if nothing behind has effects, or after a check."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from distill_core.hooks import Capture

from .loop import Loop


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4)


def test_in_training_too_if_nothing_behind_has_effects(chain, x):
    chain.train()
    capture = Capture(chain, ["0"], stop_early=True)
    for _ in range(3):
        capture.run(x)
    assert [layer.calls for layer in chain] == [3, 1, 1, 1]
    assert capture.last_module == "0"


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x


class Replacing(Counter):
    def forward(self, x: Tensor) -> Tensor:
        self.count = self.count + 1
        return x


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, self.training)


class PythonRandom(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * random.random()


EFFECTS = [lambda: nn.BatchNorm1d(4), lambda: nn.Dropout(0.5), Functional, Counter, Replacing, PythonRandom]


class Tail(nn.Module):
    """A linear layer, one with effects before the tap or behind it, and a counter of complete forwards."""

    def __init__(self, layer: nn.Module, *, before: bool) -> None:
        super().__init__()
        self.first, self.layer, self.before, self.ended = nn.Linear(4, 4), layer, before, 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.layer(x) if self.before else x)
        x = x if self.before else self.layer(x)
        self.ended += 1
        return x


@pytest.mark.parametrize("make", EFFECTS)
def test_in_training_a_forward_ends_early_only_without_effects_behind(make, x):
    for before, expected in ((True, 1), (False, 4)):
        model = Tail(make(), before=before).train()
        capture = Capture(model, ["first"], stop_early=True)
        for _ in range(4):
            capture.run(x)
        assert model.ended == expected, before
        assert capture.last_module == ("first" if before else "")


@pytest.mark.parametrize("make", EFFECTS)
def test_always_ends_early_after_a_check_whatever_is_behind(make):
    model = Tail(make(), before=False).train()
    capture = Capture(model, ["first"], stop_early="always").attach(for_run=True)
    assert capture.check_stop(torch.randn(3, 4))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    drawn = torch.get_rng_state()
    for size in (2, 3, 5):  # other shapes too
        x = torch.randn(size, 4)
        drawn = torch.get_rng_state()
        assert torch.equal(capture.run(x)["first"], model.first(x))
    assert model.ended == 1
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_check_refuses_modules_that_run_several_times():
    model = Loop().train()
    assert not Capture(model, ["cell"], stop_early="always").check_stop(torch.randn(3, 4))
    assert Capture(model, ["first"], stop_early="always").check_stop(torch.randn(3, 4))
    assert Capture(model, [""], stop_early="always").check_stop(torch.randn(3, 4))  # nothing to end early
