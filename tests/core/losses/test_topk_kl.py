"""TopKKLLoss against loops over tokens; the bucket."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.losses import ForwardKLLoss, TopKKLLoss

from .cases import Case
from .derivations import drawn_sequences, kl, refusal, sequences, softmax


def top(inputs: dict, k: int) -> dict:
    values, numbers = inputs["teacher"].log_softmax(dim=2).topk(k, dim=2)
    return {**inputs, "teacher": values, "index": numbers}


def of_classes(batch: int) -> dict:
    values, numbers = torch.randn(batch, 7).log_softmax(1).topk(3)
    return {"student": torch.randn(batch, 7), "teacher": values, "index": numbers}


CASES = [
    Case(name="TopKKLLoss", loss=TopKKLLoss, inputs=lambda batch: top(sequences(batch), 3)),
    Case(name="TopKKLLoss-classes", loss=TopKKLLoss, inputs=of_classes),
]


def test_classes_are_sequences_of_one():
    torch.manual_seed(0)
    inputs = of_classes(5)
    mask = torch.tensor([True, False, True, True, False])
    longer = {name: value.unsqueeze(1) for name, value in inputs.items()}
    assert torch.equal(TopKKLLoss()(**inputs, mask=mask), TopKKLLoss()(**longer, mask=mask[:, None]))


@given(drawn=drawn_sequences(), k=st.integers(1, 5))
def test_equals_the_slow_derivation(drawn: tuple, k: int):
    student, teacher, mask = drawn
    inputs = top({"student": student, "teacher": teacher, "mask": mask}, min(k, student.shape[2]))
    total = 0.0
    for s, t, chosen in zip(*(x[mask].tolist() for x in (student, teacher, inputs["index"])), strict=True):
        p, q = softmax(t), softmax(s)
        buckets = [[x[number] for number in chosen] for x in (p, q)]
        rest = [sum(x[number] for number in range(len(x)) if number not in chosen) for x in (p, q)]
        total += kl([*buckets[0], rest[0]], [*buckets[1], rest[1] or 1.0])
    assert TopKKLLoss()(**inputs).item() == pytest.approx(total / max(mask.sum().item(), 1), rel=1e-7, abs=1e-7)


def test_all_tokens_are_the_forward_divergence_and_fewer_are_less():
    inputs = sequences(4)
    values = [TopKKLLoss()(**top(inputs, k)).item() for k in (1, 3, 5, 7)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(ForwardKLLoss()(**inputs).item(), rel=1e-5)
    assert values[0] < 0.9 * values[-1]


def test_the_bucket_keeps_the_student_from_draining_what_lies_outside():
    """The student's mass outside is pulled to the teacher's, not to 0."""
    teacher, index = torch.tensor([[[0.6, 0.3]]]).log(), torch.tensor([[[0, 1]]])
    student = torch.tensor([[[0.6, 0.3, 0.06, 0.04]]]).log().requires_grad_()
    TopKKLLoss()(student, teacher, index).backward()
    torch.testing.assert_close(student.grad, torch.zeros(1, 1, 4), rtol=0, atol=1e-6)


def test_a_student_that_rules_out_all_others_has_gradients():
    student = torch.tensor([[[1.0, 2.0, -torch.inf]]], requires_grad=True)
    teacher = torch.tensor([[[0.4, 0.6]]]).log()
    TopKKLLoss()(student, teacher, torch.tensor([[[0, 1]]])).backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("k", [1, 3, 4])
def test_gradient_is_that_of_finite_differences(k: int):
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    inputs = top({"teacher": teacher}, k)
    assert torch.autograd.gradcheck(lambda s: TopKKLLoss(chunk=4)(s, **inputs), student.requires_grad_())


def test_what_makes_no_sense_is_refused():
    shapes = torch.zeros(2, 3, 9), torch.zeros(2, 3, 4), torch.zeros(2, 3, 5, dtype=torch.long)
    assert refusal(lambda: TopKKLLoss()(*shapes)) == (
        "`student` (2, 3, 9), `teacher` (2, 3, 4) and `index` (2, 3, 5) must be "
        "(batch, tokens, vocabulary), (batch, tokens, k) and (batch, tokens, k)"
    )
    assert refusal(lambda: TopKKLLoss(chunk=0)) == "`chunk` must be >= 1, got 0"


def test_entries_outside_the_vocabulary_are_refused():
    top = torch.zeros(1, 2, 5).log_softmax(-1).topk(3)
    with pytest.raises(ValueError) as caught:
        TopKKLLoss()(torch.zeros(1, 2, 4), top.values, torch.tensor([[[0, 1, 4], [0, 1, 2]]]))
    assert str(caught.value) == "`index` goes up to 4, but `student` has 4 logits: their vocabularies differ"
