"""Optimizers of two gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from distill_core.optim import DOT


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def objectives(model, step):
    generator = torch.Generator().manual_seed(step)
    inputs, target = torch.randn(2, 5, 3, generator=generator, dtype=torch.double)
    outputs = model(inputs)
    return (outputs - target[:, :2]).square().mean(), (outputs - target[:, 1:]).abs().pow(3).mean()


def train(model, optimizer, steps=range(4)):
    for step in steps:
        optimizer.zero_grad()
        task, kd = objectives(model, step)
        if isinstance(optimizer, DOT):
            with optimizer.separate():
                kd.backward(retain_graph=True)
            task.backward()
        else:
            (task + kd).backward()
        optimizer.step()


def same(first, second, **tolerances):
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, **tolerances)


@pytest.mark.parametrize("nesterov", [False, True])
def test_without_delta_it_is_sgd_with_momentum(nesterov):
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": nesterov}
    dot, sgd = network(), network()
    train(dot, DOT(dot.parameters(), delta=0.0, **options))
    train(sgd, torch.optim.SGD(sgd.parameters(), **options))
    same(dot, sgd)


@pytest.mark.parametrize("nesterov", [False, True])
def test_derivation(nesterov):
    """The formula, number by number."""
    model, slow = network(), network()
    options = {"lr": 0.1, "momentum": 0.8, "delta": 0.15, "weight_decay": 0.1}
    train(model, DOT(model.parameters(), nesterov=nesterov, **options))
    velocities: dict[tuple[str, int], tuple[float, float]] = {}
    for step in range(4):
        task, kd = objectives(slow, step)
        names, parameters = zip(*slow.named_parameters(), strict=True)
        gradients = [torch.autograd.grad(part, parameters, retain_graph=True) for part in (task, kd)]
        for name, parameter, of_task, of_kd in zip(names, parameters, *gradients, strict=True):
            flat = parameter.data.view(-1)
            for place in range(flat.numel()):
                theta = float(flat[place])
                first, second = float(of_task.flatten()[place]) + 0.1 * theta, float(of_kd.flatten()[place])
                before = velocities.get((name, place), (0.0, 0.0))
                now = (0.8 - 0.15) * before[0] + first, (0.8 + 0.15) * before[1] + second
                velocities[name, place] = now
                if nesterov:
                    now = first + (0.8 - 0.15) * now[0], second + (0.8 + 0.15) * now[1]
                flat[place] = theta - 0.1 * (now[0] + now[1])
    same(model, slow)


def test_only_one_gradient_the_other_is_zero():
    alone, zero = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    for parameter, missing in ((alone, None), (zero, torch.zeros(2))):
        optimizer = DOT([parameter, nn.Parameter(torch.ones(1))], lr=0.1, weight_decay=0.5)
        for _ in range(3):
            parameter.grad = missing
            optimizer.separate_gradients[parameter] = torch.tensor([1.0, 2.0])
            optimizer.step()
            optimizer.zero_grad()
        assert len(optimizer.state) == 1  # the tensor that no gradient reaches stays as it is
    assert torch.equal(alone, zero)
    assert not torch.equal(alone, torch.ones(2))


def test_gradients_add_up_apart():
    model = network()
    optimizer = DOT(model.parameters(), lr=0.1)
    kept = []
    for step in range(2):
        task, kd = objectives(model, step)
        with optimizer.separate():
            kd.backward(retain_graph=True)
        task.backward()
        kept.append([torch.autograd.grad(objectives(model, step)[part], model.parameters()) for part in range(2)])
    for number, parameter in enumerate(model.parameters()):
        torch.testing.assert_close(parameter.grad, kept[0][0][number] + kept[1][0][number])
        torch.testing.assert_close(optimizer.separate_gradients[parameter], kept[0][1][number] + kept[1][1][number])
    optimizer.zero_grad()
    assert optimizer.separate_gradients == {}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_error_within_leaves_both_where_they_belong():
    weight = nn.Parameter(torch.ones(1))
    optimizer = DOT([weight], lr=0.1)
    weight.grad = torch.tensor([3.0])

    def fail():
        with optimizer.separate():
            assert weight.grad is None
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert weight.grad == 3


def test_state_is_taken_up_bit_for_bit():
    whole, first = network(), network()
    options = {"lr": 0.1, "delta": 0.05, "weight_decay": 0.01}
    train(whole, DOT(whole.parameters(), **options), range(6))
    optimizer = DOT(first.parameters(), **options)
    train(first, optimizer, range(3))
    second = copy.deepcopy(first)
    resumed = DOT(second.parameters(), lr=0.7)  # the options are part of the state
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(second, resumed, range(3, 6))
    same(second, whole, rtol=0, atol=0)
    train(first, optimizer, range(3, 6))
    same(first, whole, rtol=0, atol=0)
    assert copy.deepcopy(optimizer).separate_gradients == {}


def test_groups_have_options_of_their_own():
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = DOT([{"params": [slow], "lr": 0.0}, {"params": [fast], "delta": 0.0}], lr=1.0)
    for _ in range(2):
        for parameter in (slow, fast):
            parameter.grad = torch.ones(1)
        optimizer.step()
    assert slow.item() == 0
    assert fast.item() == pytest.approx(-(1 + 1.9))


def test_a_closure_computes_both():
    model, other = network(), network()
    train(other, DOT(other.parameters(), lr=0.1), range(1))
    optimizer = DOT(model.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        task, kd = objectives(model, 0)
        with optimizer.separate():
            kd.backward(retain_graph=True)
        task.backward()
        return (task + kd).item()

    assert optimizer.step(closure) == sum(objectives(network(), 0)).item()
    same(model, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "`lr` must be >= 0, got -1.0"),
        ({"lr": 1.0, "weight_decay": -1.0}, "`weight_decay` must be >= 0, got -1.0"),
        ({"lr": 1.0, "delta": -0.1}, "`delta` must be >= 0 and <= 0.9, got -0.1"),
        ({"lr": 1.0, "momentum": 0.0}, "`delta` must be >= 0 and <= 0, got 0.075"),
        ({"lr": 1.0, "delta": 0.1}, "`momentum` + `delta` must be < 1, got 0.9 + 0.1"),
    ],
)
def test_numbers_out_of_range(options, message):
    with pytest.raises(ValueError) as error:
        DOT([nn.Parameter(torch.ones(1))], **options)
    assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        DOT([{"params": [nn.Parameter(torch.ones(1))], **options}], lr=1.0)
    assert str(error.value) == message
