"""FTLoss and FactorAutoencoderLoss: the distance against loops, and one paraphraser in two stages."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.layers import Paraphraser, Translator
from distill_core.losses import FactorAutoencoderLoss, FTLoss, factor_transfer

from .cases import Case


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 6, 4, 4)}


def ft(**options) -> FTLoss:
    return FTLoss(Paraphraser(6), Translator(3, 3), **options)


CASES = [
    Case(name="FTLoss", loss=ft, inputs=features, constant=("paraphraser",)),
    Case(name="FTLoss-code", loss=lambda: ft(mode="code"), inputs=features, constant=("paraphraser",)),
    Case(name="FTLoss-p2", loss=lambda: ft(p=2.0), inputs=features, constant=("paraphraser",)),
    Case(
        name="FactorAutoencoderLoss",
        loss=lambda: FactorAutoencoderLoss(Paraphraser(6)),
        inputs=lambda batch: {"teacher": torch.randn(batch, 6, 4, 4)},
    ),
]


def slow(student: Tensor, teacher: Tensor, p: float, mode: str) -> float:
    total = 0.0
    for s, t in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        norms = [math.sqrt(sum(x**2 for x in factor)) for factor in (s, t)]
        powers = [abs(a / norms[0] - b / norms[1]) ** p for a, b in zip(s, t, strict=True)]
        total += sum(powers) ** (1 / p) if mode == "paper" else sum(powers) / len(powers)
    return total / len(student)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(shape=st.tuples(*[st.integers(1, 3)] * 4), p=st.floats(1, 3), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, shape: tuple[int, ...], p: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    value = factor_transfer(student, teacher, p, mode).item()
    assert value == pytest.approx(slow(student, teacher, p, mode), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_gradient_is_that_of_finite_differences(mode: str, p: float):
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: factor_transfer(s, teacher, p, mode), student.requires_grad_())


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(p=st.floats(1, 3))
def test_is_continuous_in_p(mode: str, p: float):
    student, teacher = torch.arange(16.0).double().view(2, 2, 2, 1, 2).sin()
    near, value = factor_transfer(student, teacher, p + 1e-6, mode), factor_transfer(student, teacher, p, mode)
    assert near.item() == pytest.approx(value.item(), abs=1e-4)


def test_p_1_of_the_code_is_its_mean_absolute_difference():
    student, teacher = torch.randn(2, 4, 3, 2, 2)
    unit = [x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True) for x in (student, teacher)]
    torch.testing.assert_close(factor_transfer(student, teacher, 1.0, "code"), torch.nn.functional.l1_loss(*unit))


def test_zero_factors_give_zero_and_finite_gradients():
    student = torch.zeros(2, 3, 2, 2, requires_grad=True)
    value = factor_transfer(student, torch.zeros(2, 3, 2, 2))
    value.backward()
    assert value.item() == 0
    assert student.grad.isfinite().all()


def test_two_stages_share_one_paraphraser():
    paraphraser = Paraphraser(6)
    first, second = FactorAutoencoderLoss(paraphraser), FTLoss(paraphraser, Translator(3, 3))
    inputs = features(4)
    before = second(**inputs)
    optimizer = torch.optim.SGD(first.parameters(), lr=0.5)
    values = []
    for _ in range(20):
        value = first(inputs["teacher"])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]
    assert second.paraphraser is first.paraphraser
    assert not torch.equal(second(**inputs), before)


def test_the_second_stage_leaves_the_paraphraser_alone():
    loss = FTLoss(Paraphraser(6, batch_norm=True), Translator(3, 3)).train()
    before = {name: value.clone() for name, value in loss.paraphraser.state_dict().items()}
    loss(**features(4)).backward()
    torch.testing.assert_close(dict(loss.paraphraser.state_dict()), before, rtol=0, atol=0)
    assert [p.grad for p in loss.paraphraser.parameters()] == [None] * len(list(loss.paraphraser.parameters()))
    assert loss.translator.training
    assert not loss.paraphraser.training


def test_invalid_hyper_parameters_are_refused():
    with pytest.raises(ValueError) as error:
        ft(mode="cod")
    assert str(error.value) == "`mode` must be 'paper' or 'code', got 'cod'"


def test_batch_normalisation_makes_it_local():
    plain, normalised = Paraphraser(6), Paraphraser(6, batch_norm=True)
    assert [FactorAutoencoderLoss(p).reduction_scope for p in (plain, normalised)] == ["sample", "local"]
    assert FTLoss(normalised, Translator(3, 3)).reduction_scope == "sample"  # the paraphraser is constant
    assert FTLoss(plain, Translator(3, 3, batch_norm=True)).reduction_scope == "local"
