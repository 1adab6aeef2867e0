"""Partial forwards of models that read the values of their tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core.preview._partial_forward import as_far_as_it_goes
from distill_core.taps import Tap
from distill_core.train.teachers._source import ModelSource


class Detector(nn.Module):
    """Features, a choice by their values, and what is made of the chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head, self.last = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 1)

    def forward(self, images):
        side = int(torch.tensor(images.shape).max())  # a tensor that the model creates, which has data
        scores = self.head(self.features(images[:, :side]))
        chosen = scores[scores > 0].view(-1, 1).expand(-1, 2)
        return self.last(chosen[: int(scores.max() > 1) + 1])


def test_taps_before_the_first_number_are_reached():
    with torch.device("meta"):
        model = Detector()
    taps = [Tap.parse(name) for name in ("student.features", "student.head:in", "student.last", "student")]
    source = ModelSource("student", model, taps, None, frozen=False)
    reached, end = as_far_as_it_goes(source, {"input": torch.empty(5, 3, device="meta")}, {})
    assert end == ""  # a model that learns runs to its end
    assert {str(tap): tuple(value.shape) for tap, value in reached.items()} == {
        "student.features": (5, 4),
        "student.head:in": (5, 4),
    }


def test_a_frozen_model_ends_where_a_run_ends_it():
    with torch.device("meta"):
        model = Detector().eval()
    taps = [Tap.parse("teacher.features"), Tap.parse("teacher.head:in")]
    source = ModelSource("teacher", model, taps, None, frozen=True)
    _, end = as_far_as_it_goes(source, {"input": torch.empty(5, 3, device="meta")}, {})
    real = ModelSource("teacher", Detector().eval(), taps, None, frozen=True)
    real({"input": torch.randn(5, 3)}, {})
    assert end == real.capture.last_module == "head"


def test_a_failure_before_the_first_number_is_raised():
    with torch.device("meta"):
        model = Detector()
    source = ModelSource("student", model, [Tap.parse("student")], None, frozen=False)
    with pytest.raises(RuntimeError, match="reduction dim"):
        as_far_as_it_goes(source, {"input": torch.empty(5, 2, device="meta")}, {})
