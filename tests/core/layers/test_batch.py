from __future__ import annotations

import pytest
from torch import nn

from distill_core.layers import reduction_scope_of


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ([], "sample"),
        ([nn.LayerNorm(3), nn.GroupNorm(1, 2), nn.InstanceNorm2d(2)], "sample"),
        ([nn.Linear(2, 2), nn.BatchNorm3d(2)], "local"),
        ([nn.LazyBatchNorm2d()], "local"),
        ([nn.SyncBatchNorm(2)], "sample"),
    ],
)
def test_batch_normalisation_makes_it_local(modules, expected):
    assert reduction_scope_of(nn.Sequential(*modules), nn.ReLU()) == expected
