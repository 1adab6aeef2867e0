"""The forms of torchdistill as options of our losses, against its values (golden/torchdistill/*.json)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distill_core.losses import (
    DISTPlusLoss,
    FSPLoss,
    ICKDLoss,
    affinity_distance,
    congruence_distance,
    correlation,
    similarity_preserving,
)

from .golden import Golden, check, read

CASES = read(Path(__file__).parent / "golden" / "torchdistill")


def similarity(case: Golden) -> Tensor:
    return similarity_preserving(case["student"], case["teacher"], "torchdistill")


def congruence(case: Golden) -> Tensor:
    kernels = [correlation(case[side], **case.settings) for side in ("student", "teacher")]
    return congruence_distance(*kernels, "torchdistill")


def flow(case: Golden) -> Tensor:
    student, teacher = ([case[f"{side}_{end}"] for end in ("first", "second")] for side in ("student", "teacher"))
    value: Tensor = FSPLoss("torchdistill")(student, teacher)
    return value


class Same(nn.Module):
    def forward(self, features: Tensor, like: Tensor) -> Tensor:
        del like
        return features


def channels(case: Golden) -> Tensor:
    loss = ICKDLoss(4, 4, mode="torchdistill")
    assert loss.embedding.weight.shape[2:] == (3, 3)
    loss.embedding = Same()
    value: Tensor = loss(case["student"], case["teacher"])
    return value


def affinity(case: Golden) -> Tensor:
    return affinity_distance(case["student"], case["teacher"], "torchdistill")


def dist_plus(case: Golden) -> Tensor:
    sides = [[case[f"{side}_logits"], case[f"{side}_feature"]] for side in ("student", "teacher")]
    weights = [case.settings[name] for name in ("beta", "gamma", "iota", "kappa", "tau")]
    value: Tensor = DISTPlusLoss(*weights, mode="torchdistill")(*sides)
    return value


FORMS: dict[str, Callable[[Golden], Tensor]] = {
    "SPKDLoss": similarity,
    "CCKDLoss": congruence,
    "FSPLoss": flow,
    "ChSimLoss": channels,
    "AffinityLoss": affinity,
    "DISTPlusLoss": dist_plus,
}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.method in FORMS], ids=lambda case: f"{case.method}: {case.name}"
)
def test_the_form_of_torchdistill_has_its_values_and_gradients(case: Golden):
    value, gradient = (1e-5, 1e-6) if case.method == "DISTPlusLoss" else (1e-9, 1e-7)
    inputs = [x for name, x in case.tensors.items() if name in case.gradient]
    check(
        case,
        lambda case: FORMS[case.method](case) + 0 * sum(x.sum() for x in inputs),
        value_rel=value,
        gradient_rel=gradient,
    )


def test_equal_features_have_an_affinity_of_zero_with_a_finite_gradient():
    feature = torch.rand(2, 3, 4, 4, requires_grad=True)
    loss = affinity_distance(feature, feature.detach(), "torchdistill")
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert feature.grad is not None
    assert feature.grad.isfinite().all()
