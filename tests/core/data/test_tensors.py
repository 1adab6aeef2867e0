from __future__ import annotations

import pytest
import torch

from distill_core.data import TensorData
from distill_core.errors import DataError


def test_batch_gathers_every_field_and_augments_the_input():
    data = TensorData(
        {"input": torch.arange(8.0), "target": torch.arange(8) * 10}, augment=lambda batch, seeds: batch + seeds * 100
    )
    batch = data.batch(torch.tensor([5, 2]), torch.tensor([1, 2]))
    assert batch["input"].tolist() == [105.0, 202.0]
    assert batch["target"].tolist() == [50, 20]
    assert data[3]["input"].item() == 3.0
    assert len(data) == 8


def test_a_view_is_made_of_the_input_before_its_augmentation():
    data = TensorData(
        {"input": torch.tensor([1, 2, 3])}, lambda x, seeds: x * 10, {"other": lambda x, seeds: x + seeds}
    )
    batch = data.batch(torch.tensor([2, 0]), torch.tensor([5, 6]))
    assert (batch["input"].tolist(), batch["other"].tolist()) == ([30, 10], [8, 7])


def test_unequal_lengths_are_refused():
    with pytest.raises(DataError) as error:
        TensorData({"input": torch.zeros(3), "target": torch.zeros(2)})
    assert str(error.value) == "the fields of a dataset must have the same length, got {'input': 3, 'target': 2}"
