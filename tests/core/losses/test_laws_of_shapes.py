"""Losses of classification refuse logits of maps and targets that they do not take."""

from __future__ import annotations

import re

import pytest
import torch

from distill_core import losses
from distill_core.errors import DistillError
from distill_core.losses import MLKDLoss, MultiTeacherKDLoss, TfKDLoss, USKDLoss, WKDLLoss

from .cases import Case, table
from .derivations import refusal

OF_PAIRS = ["CTKDLoss", "TTMLoss", "WTTMLoss", "MLKDLoss", "SKDInstanceLoss", "SKDDirectionLoss"]
OF_TARGETS = ["DKDLoss", "NKDLoss", "RLDLoss", "WSLDLoss", "KDLSLoss"]


def maps() -> dict:
    return {name: torch.randn(2, 3, 4, 5) for name in ("student", "teacher")}


def calls(inputs: dict, target: torch.Tensor) -> dict:
    """Return a call of each loss of logits and targets."""
    student, teacher = inputs["student"], inputs["teacher"]
    pooled = torch.randn(2, 6)
    return {
        **{name: lambda name=name: getattr(losses, name)()(student, teacher, target) for name in OF_TARGETS},
        "WKDLLoss": lambda: WKDLLoss(1 - torch.eye(3))(student, teacher, target),
        "TfKDLoss": lambda: TfKDLoss()(student, target),
        "USKDLoss": lambda: USKDLoss(3, channels=6)([student, pooled], target),
    }


@pytest.mark.parametrize("name", [*OF_PAIRS, *calls(maps(), torch.zeros(2).long()), "MultiTeacherKDLoss"])
def test_maps_of_logits_are_refused(name):
    inputs = maps()
    call = {
        **calls(inputs, torch.zeros(2, 4, 5).long()),
        **{pair: lambda pair=pair: getattr(losses, pair)()(**inputs) for pair in OF_PAIRS},
        "MultiTeacherKDLoss": lambda: MultiTeacherKDLoss()(inputs["student"], [inputs["teacher"]] * 2),
    }[name]
    expected = "`student` must be logits (batch, classes), got shape (2, 3, 4, 5): flatten positions into the batch"
    assert refusal(call) == expected


def of_logits() -> list[Case]:
    """Cases whose student is one tensor (batch, classes), without those that learn an embedding of features."""

    def takes_logits(case: Case) -> bool:
        student = case.draw(2).get("student")
        is_vector = isinstance(student, torch.Tensor) and student.dim() == 2
        return is_vector and all(x.dim() < 2 for x in case.ready().parameters())

    return [case for case in table() if takes_logits(case)]


def each(function, value):
    """Apply `function` to each tensor in `value`, integers included."""
    return [function(x) for x in value] if isinstance(value, list) else function(value)


def as_map(positions: torch.Tensor) -> torch.Tensor:
    """Lay 24 samples out as 2 maps of 3 by 4 positions, the classes second."""
    laid = positions.unflatten(0, (2, 3, 4))
    return laid.movedim(3, 1) if laid.dim() == 4 else laid


@pytest.mark.parametrize("case", of_logits(), ids=str)
def test_maps_are_right_along_classes_or_refused(case: Case):
    """A map is the mean or sum over its positions as if they were samples, the loss of flattened features, or a sentence."""
    positions = case.draw(24)
    maps = {name: each(as_map, value) for name, value in positions.items()}
    try:
        value = case.loss().eval()(**maps)
    except (DistillError, ValueError) as error:
        assert re.match(r"`\w+` .*must ", str(error))  # noqa: PT017 - only some losses refuse
        return
    mean = case.loss().eval()(**positions)
    allowed = [mean, 3 * 4 * mean]
    if "target" not in positions:
        allowed.append(case.loss().eval()(**{name: each(lambda x: x.flatten(1), x) for name, x in maps.items()}))
    assert any(torch.allclose(value, other) for other in allowed)


def test_views_of_maps_are_refused():
    views = [torch.randn(2, 3, 4, 5)] * 2
    assert refusal(lambda: MLKDLoss(mode="code")(views, views)).startswith("`student` must be logits (batch, classes)")


TAKE_INDICES = set(calls(maps(), torch.zeros(2).long())) - {"NKDLoss", "USKDLoss"}


@pytest.mark.parametrize("name", sorted(TAKE_INDICES))
def test_probabilities_as_targets_are_refused(name):
    inputs = {side: torch.randn(2, 3) for side in ("student", "teacher")}
    call = calls(inputs, torch.full((2, 3), 1 / 3))[name]
    assert refusal(call) == "`target` must be class indices (batch,), got probabilities of shape (2, 3)"
