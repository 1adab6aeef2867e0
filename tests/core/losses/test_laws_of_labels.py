"""Losses of class indices refuse labels that are not classes, or ignore them as their docstrings say."""

from __future__ import annotations

import pytest
import torch

from distill_core.errors import DataError
from distill_core.layers import checks_on_every_device, require_targets

from .cases import Case, table
from .derivations import refusal

IGNORING = {"CIRKDLoss", "CRDLoss", "DSKDLoss", "DistiLLM2Loss", "SampledReverseKLLoss", "TokenCELoss"}
"""Losses of pixels, of memories and of tokens, in which a label of -100 is not a class."""


def of_labels() -> list[Case]:
    targets = ((case, case.draw(2).get("target")) for case in table())
    return [case for case, target in targets if isinstance(target, torch.Tensor) and not target.is_floating_point()]


OF_LABELS = of_labels()
REFUSING = [case for case in OF_LABELS if type(case.loss()).__name__ not in IGNORING]


def with_label(case: Case, label: int) -> dict:
    """The inputs, with one label of each sample's shape replaced."""
    inputs = case.draw()
    target = inputs["target"].clone()
    target[1] = label
    return {**inputs, "target": target}


def test_the_losses_of_labels_are_found():
    names = {type(case.loss()).__name__ for case in OF_LABELS}
    assert names > IGNORING | {"DKDLoss", "SDDLoss", "SSKDLoss", "OFALoss", "StandardisedLogits"}
    assert len(names) > 14


@pytest.mark.parametrize("label", [-100, -1, 1000])
@pytest.mark.parametrize("case", REFUSING, ids=str)
def test_labels_that_are_not_classes_are_refused(case: Case, label: int):
    loss = case.ready()
    with pytest.raises(DataError, match=rf"^`target` must be class indices from 0 to \d+, got {label}\n") as error:
        loss(**with_label(case, label))
    assert error.value.hint == "drop samples without a label, and count classes from 0"


@pytest.mark.parametrize("case", REFUSING, ids=str)
def test_each_sample_has_one_label(case: Case):
    inputs = case.draw()
    message = refusal(lambda: case.ready()(**{**inputs, "target": inputs["target"][:-1]}))
    assert message == f"`target` must have one class index per sample, got {len(inputs['target']) - 1} for 8 samples"


@pytest.mark.parametrize("case", [case for case in OF_LABELS if case not in REFUSING], ids=str)
def test_ignored_labels_give_a_finite_loss(case: Case):
    assert case.ready()(**with_label(case, -100)).isfinite()


@pytest.mark.parametrize("case", [case for case in OF_LABELS if case.name.startswith("CIRKDLoss")], ids=str)
def test_pixels_to_ignore_may_be_255_or_negative(case: Case):
    values = []
    for label in (255, -100, -1):
        torch.manual_seed(2)
        values.append(case.ready()(**with_label(case, label)).item())
    assert values == [values[0]] * 3


def test_a_sample_without_a_class_excludes_no_negatives():
    case = next(case for case in OF_LABELS if case.name == "CRDLoss-two_classes")
    inputs = case.draw()
    unlabelled, others = ({**inputs, "target": torch.full_like(inputs["target"], label)} for label in (-100, -1))
    without = {name: value for name, value in inputs.items() if name != "target"}
    for training in (unlabelled, others):
        loss = case.ready().eval()
        loss.classes.fill_(-100)  # the whole set is unlabelled
        torch.testing.assert_close(loss(**training), loss(**without))


@pytest.mark.parametrize("label", [-1, 1000])
def test_tokens_refuse_labels_unless_the_mask_hides_them(label: int):
    case = next(case for case in OF_LABELS if case.name.startswith("TokenCELoss"))
    inputs = {**case.draw(), "mask": None}
    target = inputs["target"].clamp(min=0)
    target[0, 0] = label
    with pytest.raises(DataError, match=f"got {label}\n"):
        case.ready()(**{**inputs, "target": target})
    mask = torch.ones_like(target)
    mask[0, 0] = 0
    ignored = target.clone()
    ignored[0, 0] = -100
    expected = case.ready()(**{**inputs, "target": ignored})
    assert torch.equal(case.ready()(**{**inputs, "target": target, "mask": mask}), expected)


def test_values_are_not_read_on_other_devices():
    require_targets(torch.zeros(2, dtype=torch.long, device="meta"), 2, 3)
    with checks_on_every_device():
        require_targets(torch.zeros(2, dtype=torch.long, device="meta"), 2, 3)
