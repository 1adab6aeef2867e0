"""`distill list` for callbacks, optimizers, schedules and codecs."""

from __future__ import annotations

import importlib
import inspect
from importlib.util import find_spec

import pytest

from distill_core.cache import NAMES, codec_named
from distill_core.cli.inspect._exports import exports


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("callbacks", {"Evaluate", "Checkpoint", "EarlyStopping", "ReduceLROnPlateau", "TensorBoard", "Track"}),
        ("optimizers", {"DOT", "SGD", "AdamW"}),
        ("schedules", {"Linear", "Cosine", "Warmup", "CosineAnnealingLR", "OneCycleLR"}),
    ],
)
def test_callbacks_optimizers_and_schedules_are_classes_that_can_be_imported(kind, some):
    listed = exports(kind)
    assert some <= {export.name for export in listed}
    for export in listed:
        module, _, name = export.path.rpartition(".")
        if find_spec(module.partition(".")[0]) is not None:
            assert inspect.isclass(getattr(importlib.import_module(module), name))
    assert not {"Optimizer", "LRScheduler", "Callback", "Any"} & {export.name for export in listed}


def test_the_codecs_are_those_of_a_cache():
    listed = [export.name for export in exports("codecs")]
    assert {name.replace("-N", "") for name in listed} == {name.rstrip("0123456789-") if "-" in name else name for name in NAMES}  # fmt: skip
    for name in listed:
        codec_named(name.replace("N", "4"))
