"""CRDLoss against loops over samples and negatives; its banks, its constants and its negatives."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.errors import DataError
from distill_core.losses import CRDLoss, noise_contrastive

from .cases import Case


def features(batch: int) -> dict:
    return {
        "student": torch.randn(batch, 3, 2, 2),
        "teacher": torch.randn(batch, 7),
        "index": torch.randperm(20)[:batch],
    }


def labelled(batch: int) -> dict:
    return {**features(batch), "target": torch.randint(3, (batch,))}


def two_samples(batch: int) -> dict:
    """Two samples have only each other as negatives: no randomness, so that processes can be compared."""
    return {**features(batch), "index": torch.arange(batch) % 2}


def two_classes(batch: int) -> dict:
    return {**two_samples(batch), "target": torch.arange(batch) % 2}


def crd(num_samples: int = 20, **options) -> CRDLoss:
    return CRDLoss(num_samples, dim=4, num_negatives=6, **options)


CASES = [
    Case(name="CRDLoss", loss=crd, inputs=features, permutes=False, splits=False),
    Case(name="CRDLoss-paper", loss=lambda: crd(mode="paper"), inputs=features, permutes=False, splits=False),
    Case(name="CRDLoss-target", loss=crd, inputs=labelled, permutes=False, splits=False),
    Case(name="CRDLoss-two_samples", loss=lambda: crd(2, temperature=0.5), inputs=two_samples),
    Case(name="CRDLoss-two_classes", loss=lambda: crd(2, temperature=0.5), inputs=two_classes),
]


def slow_direction(anchors: list, bank: list, rows: list, loss: CRDLoss, log_z: float) -> float:
    """One direction of the loss by the formula, with h itself."""
    noise = loss.num_negatives / loss.num_samples
    total = 0.0
    for anchor, (positive, *negatives) in zip(anchors, rows, strict=True):
        odds = [
            math.exp(sum(a * b for a, b in zip(anchor, bank[row], strict=True)) / loss.temperature - log_z)
            for row in (positive, *negatives)
        ]
        h = [odd / (odd + noise) for odd in odds]
        total -= math.log(h[0]) + sum(math.log(1 - x) for x in h[1:])
    return total / len(anchors)


def slow_z(anchors: list, bank: list, rows: list, loss: CRDLoss) -> float:
    """N times the mean of e^(a·m/τ)."""
    exponentials = [
        math.exp(sum(a * b for a, b in zip(anchor, bank[row], strict=True)) / loss.temperature)
        for anchor, numbers in zip(anchors, rows, strict=True)
        for row in numbers
    ]
    return loss.num_samples * sum(exponentials) / len(exponentials)


@pytest.mark.parametrize("mode", ["paper", "code"])
@given(temperature=st.floats(0.07, 2), seed=st.integers(0, 1000))
def test_equals_the_slow_derivation(mode: str, temperature: float, seed: int):
    torch.manual_seed(seed)
    loss = crd(temperature=temperature, mode=mode, student_features=12, teacher_features=7).double()
    inputs = {name: x.double() if x.is_floating_point() else x for name, x in features(3).items()}
    anchors = [loss.student_embedding(inputs["student"]).tolist(), loss.teacher_embedding(inputs["teacher"]).tolist()]
    banks = [loss.teacher_bank.tolist(), loss.student_bank.tolist()]
    torch.manual_seed(seed)
    rows = [
        [i, *drawn] for i, drawn in zip(inputs["index"].tolist(), loss._draw(inputs["index"]).tolist(), strict=True)
    ]
    expected = 0.0
    for anchor, bank in zip(anchors, banks, strict=True):
        log_z = math.log(slow_z(anchor, bank, rows, loss)) if mode == "code" else 0.0
        expected += slow_direction(anchor, bank, rows, loss, log_z)
    torch.manual_seed(seed)
    assert loss(**inputs).item() == pytest.approx(expected, rel=1e-9)


def test_gradient_is_that_of_finite_differences():
    loss = crd(student_features=12, teacher_features=7, temperature=0.5).double().eval()
    inputs = {name: x.double() if x.is_floating_point() else x for name, x in features(2).items()}
    loss.log_z.zero_()

    def value(student: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return loss(**{**inputs, "student": student})

    assert torch.autograd.gradcheck(value, inputs["student"].requires_grad_())


@given(temperature=st.floats(0.05, 3), momentum=st.floats(0, 1))
def test_is_continuous_in_temperature_and_momentum(temperature: float, momentum: float):
    values = []
    for step in (0.0, 1e-9):
        torch.manual_seed(0)
        loss = crd(temperature=temperature + step, momentum=abs(momentum - step)).double()
        inputs = {name: x.double() if x.is_floating_point() else x for name, x in features(4).items()}
        loss(**inputs)
        values.append(loss(**inputs).item())
    assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_banks_move_by_momentum_after_use():
    loss = crd(momentum=0.25)
    inputs = features(4)
    student = loss.eval().student_embedding(inputs["student"])
    before, index = loss.student_bank.clone(), inputs["index"]
    loss.train()(**inputs)
    moved = 0.25 * before[index] + 0.75 * student
    torch.testing.assert_close(loss.student_bank[index], moved / moved.norm(dim=1, keepdim=True))
    others = torch.ones(20, dtype=torch.bool).index_fill(0, index, False)
    assert torch.equal(loss.student_bank[others], before[others])


def test_a_sample_that_comes_twice_is_remembered_as_it_came_last():
    loss, inputs = crd(momentum=0.0), features(3)
    inputs["index"] = torch.tensor([4, 9, 4])
    loss(**inputs)
    torch.testing.assert_close(loss.teacher_bank[4], loss.teacher_embedding(inputs["teacher"])[2].detach())
    torch.testing.assert_close(loss.teacher_bank[9], loss.teacher_embedding(inputs["teacher"])[1].detach())


def test_constants_come_from_the_first_batch_and_stay():
    loss = crd()
    loss.eval()(**features(4))
    assert loss.log_z.isnan().all()
    loss.train()(**features(4))
    first = loss.log_z.clone()
    loss(**features(4))
    assert first.isfinite().all()
    assert torch.equal(loss.log_z, first)


def test_negatives_are_all_the_others_and_never_the_sample_itself():
    loss = CRDLoss(4, dim=2, num_negatives=4000)
    torch.manual_seed(0)
    for sample, drawn in enumerate(loss._draw(torch.arange(4))):
        counts = drawn.bincount(minlength=4)
        assert counts[sample] == 0
        assert all(abs(count - 4000 / 3) < 200 for number, count in enumerate(counts.tolist()) if number != sample)


def test_negatives_of_the_same_class_are_left_out_once_known():
    """Samples 0 and 1 are of one class, so sample 2 is their only negative, drawn or not: it counts K times."""
    torch.manual_seed(0)
    loss = CRDLoss(3, dim=4, num_negatives=64, mode="paper")
    inputs = {"student": torch.randn(3, 5), "teacher": torch.randn(3, 5), "index": torch.arange(3)}
    loss(**inputs, target=torch.tensor([7, 7, 8]))
    assert loss.classes.tolist() == [7, 7, 8]
    expected = torch.zeros(())
    for anchors, bank in (
        (loss.student_embedding(inputs["student"]), loss.teacher_bank),
        (loss.teacher_embedding(inputs["teacher"]), loss.student_bank),
    ):
        for sample in (0, 1):
            x = bank[[sample, *[2] * 64]] @ anchors[sample] / loss.temperature
            expected = expected + noise_contrastive(x, 3) / 2
    first = {name: value[:2] for name, value in inputs.items()}
    torch.testing.assert_close(loss.eval()(**first, target=torch.tensor([7, 7])), expected)
    assert not torch.isclose(loss(**first), expected)


def test_without_a_sample_of_another_class_only_the_positive_counts():
    torch.manual_seed(0)
    loss, inputs = crd(2, mode="paper"), two_samples(2)
    loss(**inputs, target=torch.tensor([5, 5]))
    expected = torch.zeros(())
    for anchors, bank in (
        (loss.student_embedding(inputs["student"]), loss.teacher_bank),
        (loss.teacher_embedding(inputs["teacher"]), loss.student_bank),
    ):
        for sample in (0, 1):
            odds = (anchors[sample] @ bank[sample] / loss.temperature).exp()
            expected = expected - (odds / (odds + 6 / 2)).log() / 2
    torch.testing.assert_close(loss.eval()(**inputs, target=torch.tensor([5, 5])), expected)


def test_weights_count_negatives():
    scores = torch.tensor([[0.3, -0.2, 0.9]])
    kept = noise_contrastive(scores, 10, weights=torch.tensor([[2.0, 0.0]]))
    twice = noise_contrastive(torch.tensor([[0.3, -0.2, -0.2]]), 10)
    torch.testing.assert_close(kept, twice)


def test_learns_to_tell_samples_apart():
    torch.manual_seed(0)
    loss, inputs = crd(temperature=0.2), features(8)
    optimizer = torch.optim.SGD([inputs["student"].requires_grad_()], lr=1.0)
    loss(**inputs)
    optimizer.add_param_group({"params": list(loss.parameters())})
    values = []
    for _ in range(60):
        value = loss(**inputs)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert sum(values[-10:]) < 0.8 * sum(values[:10])


def test_invalid_hyper_parameters_are_refused():
    with pytest.raises(ValueError) as error:
        crd(mode="cod")
    assert str(error.value) == "`mode` must be 'paper' or 'code', got 'cod'"


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_a_bank_read_at_once_gives_what_copied_rows_give(mode, monkeypatch):
    """The product with the whole bank and the copies of rows have the same values, gradients and banks."""
    ended = []
    for largest in (0, 32):
        monkeypatch.setattr("distill_core.losses._crd.MAX_BANK", largest)
        torch.manual_seed(0)
        loss = crd(mode=mode).double()
        given = {name: t.double() if t.is_floating_point() else t for name, t in labelled(5).items()}
        student = given.pop("student").requires_grad_()
        for _ in range(2):
            value = loss(student, **given)
            value.backward()
        ended.append((value.detach(), student.grad, loss.teacher_embedding.linear.weight.grad, loss.student_bank))
    torch.testing.assert_close(*ended, rtol=1e-12, atol=1e-12)


def test_negatives_are_of_other_classes_from_the_first_step_once_labels_are_set():
    torch.manual_seed(0)
    labels = torch.tensor([2, 0, 1, 0, 2, 2, -100, 1, 0, 2])
    loss = CRDLoss(10, dim=4, num_negatives=4000)
    loss.set_labels(labels)
    index = torch.arange(10)
    negatives = loss._draw(index, labels)
    for sample, drawn in zip(index.tolist(), negatives, strict=True):
        allowed = [i for i in range(10) if i != sample and (labels[sample] < 0 or labels[i] != labels[sample])]
        assert sorted(drawn.unique().tolist()) == allowed
        share = drawn.bincount(minlength=10)[allowed] / 4000
        assert (share - 1 / len(allowed)).abs().max() < 0.03


def test_labels_do_not_change_a_state_dict_and_more_labels_than_samples_are_refused():
    loss, other = crd(), crd()
    loss.set_labels(torch.arange(20) % 3)
    assert loss.state_dict().keys() == other.state_dict().keys()
    loss.set_labels(torch.arange(4))
    assert loss.classes[:4].tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="num_samples is 20, but the dataset has 21 samples"):
        loss.set_labels(torch.zeros(21))


def test_one_class_leaves_every_other_sample_as_a_negative():
    loss = crd()
    loss.set_labels(torch.zeros(20, dtype=torch.long))
    assert loss.others is None
    assert loss(**features(4), target=torch.zeros(4, dtype=torch.long)).isfinite()
