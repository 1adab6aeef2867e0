"""A different number of classes: the body is loaded and the head is newly initialised."""

from __future__ import annotations

import logging

import pytest
import torch

import distill_zoo
from distill_zoo import ZooError

pytest.importorskip("distill_vision")
EMBEDDED = ["digits/convnet8.kd", "digits/convnet64.ce", "fashion_mnist/convnet8.ce"]


def states(name, **overrides):
    return distill_zoo.load(name).state_dict(), distill_zoo.load(name, **overrides).state_dict()


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_body_is_loaded_and_the_head_is_new(name, caplog):
    with caplog.at_level(logging.WARNING, "distill"):
        own, other = states(name, num_classes=5)
    assert own.keys() == other.keys()
    new = {key for key in own if own[key].shape != other[key].shape}
    assert new == {"fc.weight", "fc.bias"}
    assert all(torch.equal(own[key], other[key]) for key in own.keys() - new)
    assert caplog.messages == [f"weights of {name}: newly initialised, not loaded: fc.bias, fc.weight"]


def test_with_the_same_number_of_classes_everything_is_loaded(caplog):
    with caplog.at_level(logging.WARNING, "distill"):
        own, same = states(EMBEDDED[0], num_classes=10)
    assert all(torch.equal(own[key], same[key]) for key in own)
    assert not caplog.messages


@pytest.mark.parametrize(
    "overrides", [{"width": 16}, {"width": 16, "num_classes": 5}, {"in_channels": 3, "num_classes": 5}]
)
def test_a_different_body_is_refused_with_or_without_a_new_head(overrides):
    with pytest.raises(ZooError, match=r"do not match ConvNet:\n(?!.*fc\.bias)") as caught:
        distill_zoo.load(EMBEDDED[0], **overrides)
    assert "is (" in str(caught.value)


def test_a_saved_folder_loads_with_a_new_head(tmp_path):
    folder = distill_zoo.save_pretrained(EMBEDDED[0], tmp_path)
    own, other = (
        distill_zoo.load(EMBEDDED[0]).state_dict(),
        distill_zoo.from_pretrained(folder, num_classes=3).state_dict(),
    )
    assert other["fc.weight"].shape[0] == 3
    assert all(torch.equal(own[key], other[key]) for key in own if not key.startswith("fc."))


def test_class_names_are_set_unless_the_head_is_new():
    names = tuple("0123456789")
    assert distill_zoo.load(EMBEDDED[0]).class_names == names
    assert not hasattr(distill_zoo.load(EMBEDDED[0], num_classes=5), "class_names")
