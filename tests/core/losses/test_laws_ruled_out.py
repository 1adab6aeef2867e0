"""Classes of −∞: the loss without them is what every loss of a softmax is compared with."""

from __future__ import annotations

import inspect
import math
import re

import pytest
import torch
from torch import Tensor, nn

import distill_core.losses as losses
from distill_core.errors import DataError
from distill_core.layers import checks_on_every_device

from .ruled_out import CLASSES, LAWS, SAMPLES, TARGET, Law, hidden, logits

OTHERS = {
    "_cirkd": "similarities of features",
    "_clipkd": "similarities of embeddings",
    "_fgd": "features",
    "_semckd": "layers",
}
"""Files with a softmax of numbers that are not logits of classes."""

MASKS = {
    "one": [4],
    "padding": [5, 6],
    "several": [3, 5],
    "three left": [3, 4, 5, 6],
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


def value_and_gradient(law: Law, student: Tensor, teacher: Tensor, kept: Tensor, target: Tensor = TARGET):
    student = student.detach().clone().requires_grad_()
    value = law.value(student, teacher, target, kept)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


@every_law
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_a_class_that_both_rule_out_is_excluded(law: Law, mask: list[int]):
    student, teacher = logits()
    everything = torch.arange(CLASSES)
    kept = torch.tensor([number for number in range(CLASSES) if number not in mask])
    expected, expected_gradient = value_and_gradient(law, student[:, kept], teacher[:, kept], kept)
    value, gradient = value_and_gradient(law, hidden(student, mask), hidden(teacher, mask), everything)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient[:, kept], expected_gradient)
    assert not gradient[:, mask].any()


@every_law
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_precision(law: Law, dtype: torch.dtype):
    student, teacher = (hidden(x, [4, 6]).to(dtype) for x in logits())
    kept = torch.tensor([0, 1, 2, 3, 5])
    expected, expected_gradient = value_and_gradient(law, student[:, kept], teacher[:, kept], kept)
    value, gradient = value_and_gradient(law, student, teacher, torch.arange(CLASSES))
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(value, expected, **tolerance)
    torch.testing.assert_close(gradient[:, kept], expected_gradient, **tolerance)
    assert not gradient[:, [4, 6]].any()


CONSTANTS = [
    "WSLDLoss",
    "DMLLoss",
    "USKDLoss",
    "USKDLoss-code",
    "AKLLoss",
    "AKLLoss-code",
    "TAIDLoss",
    "DistiLLM2Loss-code",
]
"""Functions of the student that count as constant: the gradient is not that of the value."""


@pytest.mark.parametrize("name", [name for name in LAWS if name not in CONSTANTS])
def test_gradient_is_that_of_finite_differences(name: str):
    law = LAWS[name]
    student, teacher = (hidden(x, [4, 6])[:4] for x in logits())
    kept = [0, 1, 2, 3, 5]

    def padded(given: Tensor) -> Tensor:
        whole = student.clone()
        whole[:, kept] = given
        return law.value(whole, teacher, TARGET[:4], torch.arange(CLASSES))

    inputs = student[:, kept].clone().requires_grad_()
    assert torch.autograd.gradcheck(padded, inputs, rtol=1e-3, atol=1e-4)


@every_law
def test_each_sample_may_rule_out_other_classes(law: Law):
    student, teacher = logits()
    rows = torch.stack([hidden(torch.zeros(CLASSES), [3 + number % 4]) for number in range(SAMPLES)])
    value, gradient = value_and_gradient(law, student + rows, teacher + rows, torch.arange(CLASSES))
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert not gradient[rows.isneginf()].any()


@every_law
@pytest.mark.parametrize("side", ["student", "teacher"])
def test_one_side(law: Law, side: str):
    student, teacher = logits()
    ours, theirs = (hidden(x, [5]) if side == name else x for name, x in [("student", student), ("teacher", teacher)])
    if side in law.infinite:
        named = "every position of a sample" if law is LAWS["CWDLoss"] else "(class|bin) 5"
        blamed = "student" if law is LAWS["DMLLoss"] else side  # each is a student
        with pytest.raises(DataError, match=rf"{named} is −∞ in `{blamed}`.*\n  hint: "):
            value_and_gradient(law, ours, theirs, torch.arange(CLASSES))
        return
    value, gradient = value_and_gradient(law, ours, theirs, torch.arange(CLASSES))
    assert value.isfinite()
    assert gradient.isfinite().all()
    if law.limit:
        near = [x.masked_fill(x.isneginf(), -300.0) for x in (ours, theirs)]
        expected, expected_gradient = value_and_gradient(law, *near, torch.arange(CLASSES))
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, expected_gradient)


LABELLED = ["KDLSLoss", "WSLDLoss", "TfKDLoss", "USKDLoss", "TokenCELoss", "SSKDLoss", "RLDLoss"]


@pytest.mark.parametrize("name", LABELLED)
def test_a_target_that_is_ruled_out_is_named(name: str):
    student, teacher = (hidden(x, [2]) for x in logits())
    with pytest.raises(DataError, match=r"class 2 is −∞ in `student` and the target of a sample.*\n  hint: "):
        LAWS[name].value(student, teacher, TARGET.roll(-2), torch.arange(CLASSES))


@pytest.mark.parametrize("name", ["DKDLoss", "NKDLoss", "WKDLLoss", "SDDLoss-dkd"])
@pytest.mark.parametrize("left", [[0, 1, 2], [0]], ids=["a target too", "all but one class"])
def test_targets_are_compared_where_they_are_allowed(name: str, left: list[int]):
    """A target that both rule out adds nothing, nor do others where there are none."""
    student, teacher = (hidden(x, [c for c in range(CLASSES) if c not in left]) for x in logits())
    target = torch.zeros(SAMPLES, dtype=torch.long) if left == [0] else TARGET + 2
    value, gradient = value_and_gradient(LAWS[name], student, teacher, torch.arange(CLASSES), target)
    assert value.isfinite()
    assert gradient.isfinite().all()


NOT_BY_SAMPLE = ["CrossKDLoss-classes", "CWDLoss", "SKDDirectionLoss", "SKDDirectionLoss-code"]
"""Without a softmax over the classes of a sample."""


@pytest.mark.parametrize("name", [n for n in LAWS if n not in NOT_BY_SAMPLE and LAWS[n].value.__name__ != "from_cache"])
def test_a_sample_without_classes_is_an_error(name: str):
    law = LAWS[name]
    student, teacher = logits()
    student[3], teacher[3] = -math.inf, -math.inf
    with pytest.raises(DataError, match=r"every class of a sample|every bin|and the target"):
        law.value(student, teacher, TARGET, torch.arange(CLASSES))


def test_several_classes_are_counted():
    student, teacher = torch.zeros(1, 20), torch.zeros(1, 20)
    student[:, 3:] = -math.inf
    with pytest.raises(DataError, match="classes 3, 4, 5, 6, 7 and 12 others are −∞ in `student` but not in `teacher`"):
        losses.KDLoss()(student, teacher)


def test_top_k_names_the_stored_class_and_what_lies_outside():
    student, teacher = torch.zeros(1, 5), torch.tensor([[0.0, 9.0, 0.0, 8.0, 0.0]])
    top = teacher.log_softmax(1).topk(2)
    with pytest.raises(DataError, match="class 3 is −∞ in `student`"):
        losses.TopKKLLoss()(hidden(student, [3]), top.values, top.indices)
    less = (torch.zeros(1, 5).log_softmax(1)).topk(2)
    outside = [number for number in range(5) if number not in less.indices[0].tolist()]
    with pytest.raises(DataError, match="outside the stored ones"):
        losses.TopKKLLoss()(hidden(student, outside), less.values, less.indices)


def test_drawn_classes_are_named():
    with pytest.raises(DataError, match="class 4 is −∞ in `student`"):
        losses.RSKDLoss()(hidden(torch.zeros(1, 5), [4]), torch.tensor([[0.5, 0.5]]), torch.tensor([[4, 0]]))


def test_what_is_not_a_number_otherwise_is_not_explained_by_ruled_out_classes():
    student, teacher = logits()
    student[0, 0] = math.nan
    assert losses.KDLoss()(hidden(student, [5]), teacher).isnan()


def test_the_temperature_of_ctkd_keeps_its_gradient():
    student, teacher = (hidden(x, [4]) for x in logits(dtype=torch.float32))
    gradients = []
    for kept in (torch.arange(CLASSES), torch.tensor([0, 1, 2, 3, 5, 6])):
        loss = losses.CTKDLoss()
        loss(student[:, kept], teacher[:, kept]).backward()
        gradients.append(loss.theta.grad)
    torch.testing.assert_close(*gradients)


def test_without_ruled_out_classes_the_check_can_be_asked_for_anywhere():
    student, teacher = logits()
    with checks_on_every_device():
        assert losses.KDLoss()(student, teacher).isfinite()


def test_every_loss_of_a_softmax_has_a_law():
    used = r"softmax|kl_divergence|kd_divergence|cross_entropy|log_mixture|decoupled_divergences|correlation_losses"
    made = [x for x in vars(losses).values() if isinstance(x, type) and issubclass(x, nn.Module)]
    files = {inspect.getmodule(x).__name__.rpartition(".")[2] for x in made}
    with_softmax = {
        name for name in files if re.search(used, inspect.getsource(getattr(losses, name))) and name not in OTHERS
    }
    covered = {inspect.getmodule(getattr(losses, name.partition("-")[0])).__name__.rpartition(".")[2] for name in LAWS}
    assert with_softmax - covered == set()
