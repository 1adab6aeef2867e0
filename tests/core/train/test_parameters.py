from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core.errors import TrainingError, WiringError
from distill_core.train.step._parameters import (
    default_patterns,
    named_parameters,
    parameter_groups,
    select,
    verify_groups,
)


def named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    return named_parameters(
        {"student": model, "teacher_a": nn.Linear(2, 2)}, {"kd": nn.KLDivLoss(), "hint": nn.Linear(2, 1)}
    )


def test_names_of_models_and_losses():
    assert list(named()) == [
        "student.0.weight", "student.0.bias", "student.1.weight", "student.1.bias",
        "teacher_a.weight", "teacher_a.bias", "losses.hint.weight", "losses.hint.bias",
    ]  # fmt: skip
    assert default_patterns(named()) == ["losses", "student"]


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["student.0"], {"student.0.weight", "student.0.bias"}),
        (["student", "!student.*.bias"], {"student.0.weight", "student.1.weight"}),
        (["*.bias"], {"student.0.bias", "student.1.bias", "teacher_a.bias", "losses.hint.bias"}),
        (["losses"], {"losses.hint.weight", "losses.hint.bias"}),
    ],
)
def test_globs(patterns, chosen):
    assert select(named(), patterns, "train") == chosen


def test_a_part_is_not_a_prefix_of_its_name():
    parameters = named_parameters({"student": nn.Linear(1, 1), "student2": nn.Linear(1, 1)}, {})
    assert select(parameters, ["student"], "train") == {"student.weight", "student.bias"}


def test_a_tensor_with_two_names_is_in_one_group():
    shared = nn.Linear(2, 2)
    parameters = named_parameters({}, {"a": shared, "b": nn.Sequential(shared)})
    assert len(parameters) == 4
    groups = parameter_groups(parameters, {"losses.b": {"lr": 0.1}}, "groups")
    assert [(len(group["params"]), group["lr"]) for group in groups] == [(2, 0.1)]


def test_groups_that_get_nothing_are_refused():
    with pytest.raises(WiringError) as error:
        parameter_groups(named(), {"student": {"lr": 1.0}, "student.0": {"lr": 2.0}}, "stages.0.groups")
    assert str(error.value) == "stages.0.groups: all that the glob 'student.0' matches is in groups before it"


def test_groups_are_proven():
    model = nn.Linear(2, 2)
    everything = named_parameters({"student": model}, {})
    twice = torch.optim.SGD([model.weight, model.bias], lr=0.1)
    twice.param_groups.append({**twice.param_groups[0], "params": [model.bias]})
    with pytest.raises(TrainingError, match=r"^these tensors are in two groups of the optimizer: student.bias$"):
        verify_groups(twice, everything, {})
    good = torch.optim.SGD(model.parameters(), lr=0.1)
    verify_groups(good, everything, {})
    with pytest.raises(
        TrainingError, match=r"^these tensors are frozen, yet in a group of the optimizer: student.bias$"
    ):
        verify_groups(good, {"student.weight": model.weight}, {"student.bias": model.bias})
