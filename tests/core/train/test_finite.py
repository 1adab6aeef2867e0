from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core.train.step._finite import not_finite

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e5m2]
INF, NAN = float("inf"), float("nan")


def holding(**tensors):
    module = nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    return module


@pytest.mark.parametrize("dtype", DTYPES)
def test_exactly_the_tensors_with_an_element_that_is_not_finite_are_named(dtype):
    """Where finite elements sum to more than the type holds, and where infinities cancel."""
    largest = torch.finfo(dtype).max
    module = holding(
        plain=torch.ones(1000).to(dtype),
        large=torch.full((4,), largest, dtype=torch.float64).to(dtype),
        both=torch.tensor([largest, -largest, largest, largest], dtype=torch.float64).to(dtype),
        empty=torch.zeros(0).to(dtype),
        integer=torch.ones(3, dtype=torch.long),
        nan=torch.tensor([1.0, NAN, 2.0]).to(dtype),
        inf=torch.tensor([1.0, INF]).to(dtype),
        cancel=torch.tensor([INF, -INF]).to(dtype),
        minus=torch.tensor(-INF).to(dtype),
    )
    expected = [name for name, tensor in module.named_buffers() if not tensor.double().isfinite().all()]
    assert expected == ["nan", "inf", "cancel", "minus"]
    assert not_finite({"a": module, "b": nn.Linear(2, 2)}) == [f"a.{name}" for name in expected]


def test_nothing_to_check():
    assert not_finite({}) == []
    assert not_finite({"a": nn.ReLU()}) == []
