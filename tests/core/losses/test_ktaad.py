"""KTAutoencoderLoss, KTALoss and AffinityLoss: the distances against loops, and one translator in two stages."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distill_core.layers import Paraphraser
from distill_core.losses import AffinityLoss, KTALoss, KTAutoencoderLoss, affinity_distance, knowledge_adaptation

from .cases import Case
from .derivations import assert_continuous, refusal


def features(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 6, 4, 4)}


CASES = [
    Case(
        name="KTAutoencoderLoss",
        loss=lambda: KTAutoencoderLoss(Paraphraser(6), sparsity=1e-3),
        inputs=lambda batch: {"teacher": torch.randn(batch, 6, 4, 4)},
    ),
    Case(name="KTALoss", loss=lambda: KTALoss(Paraphraser(6)), inputs=features, constant=("translator",)),
    Case(
        name="KTALoss-code",
        loss=lambda: KTALoss(Paraphraser(6), student_channels=3, mode="code"),
        inputs=features,
        constant=("translator",),
    ),
    Case(name="AffinityLoss", loss=lambda: AffinityLoss(Paraphraser(6)), inputs=features, constant=("translator",)),
    Case(
        name="AffinityLoss-given",
        loss=lambda: AffinityLoss(Paraphraser(6), student_channels=3),
        inputs=features,
        constant=("translator",),
    ),
]


def norm(values: list[float], p: float) -> float:
    return sum(abs(x) ** p for x in values) ** (1 / p)


def slow_adaptation(student: Tensor, teacher: Tensor, p: float, q: float, mode: str) -> float:
    if mode == "paper":
        rows = [x.movedim(1, -1).flatten(0, -2).tolist() for x in (student, teacher)]
    else:
        rows = [x.flatten(1).tolist() for x in (student, teacher)]
    sizes = []
    for s, t in zip(*rows, strict=True):
        difference = [a / norm(s, q) - b / norm(t, q) for a, b in zip(s, t, strict=True)]
        sizes += [norm(difference, p)] if mode == "paper" else [abs(x) ** p for x in difference]
    return sum(sizes) / len(sizes)


def slow_affinity(student: Tensor, teacher: Tensor) -> float:
    total = 0.0
    for s, t in zip(student.flatten(2).mT.tolist(), teacher.flatten(2).mT.tolist(), strict=True):
        for i in range(len(s)):
            squares = 0.0
            for j in range(len(s)):
                cosines = [
                    sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) / norm(rows[i], 2) / norm(rows[j], 2)
                    for rows in (s, t)
                ]
                squares += ((cosines[0] - cosines[1]) / len(s)) ** 2
            total += math.sqrt(squares)
    return total / len(student)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(shape=st.tuples(*[st.integers(1, 3)] * 4), p=st.floats(1, 3), q=st.floats(1, 3), seed=st.integers(0, 1000))
def test_adaptation_equals_the_slow_derivation(mode: str, shape: tuple[int, ...], p: float, q: float, seed: int):
    torch.manual_seed(seed)
    student, teacher = torch.randn(2, *shape, dtype=torch.float64)
    value = knowledge_adaptation(student, teacher, p, q, mode).item()
    assert value == pytest.approx(slow_adaptation(student, teacher, p, q, mode), rel=1e-9, abs=1e-12)


@given(shape=st.tuples(*[st.integers(1, 3)] * 4), channels=st.integers(1, 3), seed=st.integers(0, 1000))
def test_affinity_equals_the_slow_derivation(shape: tuple[int, ...], channels: int, seed: int):
    torch.manual_seed(seed)
    batch, ours, height, width = shape
    student = torch.randn(batch, ours, height, width, dtype=torch.float64)
    teacher = torch.randn(batch, channels, height, width, dtype=torch.float64)
    expected = slow_affinity(student, teacher)
    assert affinity_distance(student, teacher).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_gradient_is_that_of_finite_differences(mode: str, p: float):
    student, teacher = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: knowledge_adaptation(s, teacher, p, 2.0, mode), student.requires_grad_())
    assert torch.autograd.gradcheck(lambda s: affinity_distance(s, teacher), student)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(p=st.floats(1, 3), q=st.floats(1, 3))
def test_is_continuous_in_both_norms(mode: str, p: float, q: float):
    student, teacher = torch.arange(16.0).double().sin().view(2, 2, 2, 1, 2)
    assert_continuous(lambda x: knowledge_adaptation(student, teacher, x, q, mode), at=p)
    assert_continuous(lambda x: knowledge_adaptation(student, teacher, p, x, mode), at=q)


@given(sparsity=st.floats(0, 1))
def test_the_autoencoder_is_rebuilding_and_sparsity(sparsity: float):
    translator, teacher = Paraphraser(4).double(), torch.randn(2, 4, 3, 3, dtype=torch.float64)
    rebuilding = (translator(teacher) - teacher).square().mean()
    size = sum(abs(x) for x in translator.encode(teacher).flatten().tolist()) / 2
    value = KTAutoencoderLoss(translator, sparsity)(teacher)
    assert value.item() == pytest.approx(rebuilding.item() + sparsity * size)


def test_two_stages_share_one_translator():
    translator = Paraphraser(6, batch_norm=True)
    first, others = KTAutoencoderLoss(translator), [KTALoss(translator), AffinityLoss(translator)]
    inputs = features(4)
    before = [loss.eval()(**inputs).item() for loss in others]
    first.train()
    optimizer = torch.optim.SGD(first.parameters(), lr=0.5)
    values = []
    for _ in range(10):
        value = first(inputs["teacher"])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]
    assert all(loss.eval()(**inputs).item() != old for loss, old in zip(others, before, strict=True))


@pytest.mark.parametrize("kind", [KTALoss, AffinityLoss])
def test_the_second_stage_leaves_the_translator_alone(kind: type):
    loss = kind(Paraphraser(6, batch_norm=True)).train()
    before = {name: value.clone() for name, value in loss.translator.state_dict().items()}
    loss(**features(4)).backward()
    torch.testing.assert_close(dict(loss.translator.state_dict()), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in loss.translator.parameters())
    assert loss.adapter.training
    assert not loss.translator.training


def test_refusals():
    assert refusal(lambda: KTAutoencoderLoss(Paraphraser(4), -1.0)) == "`sparsity` must be >= 0, got -1.0"
    assert refusal(lambda: KTALoss(Paraphraser(4), p=0.5)) == "`p` must be >= 1, got 0.5"
    assert refusal(lambda: KTALoss(Paraphraser(4), q=0.5)) == "`q` must be >= 1, got 0.5"
    assert refusal(lambda: KTALoss(Paraphraser(4), mode="cod")) == "`mode` must be 'paper' or 'code', got 'cod'"


def test_batch_normalisation_makes_the_first_stage_local():
    assert [KTAutoencoderLoss(Paraphraser(6, batch_norm=norm)).reduction_scope for norm in (False, True)] == [
        "sample",
        "local",
    ]
