"""Example batches take the parameters of their data function and touch no data."""

from __future__ import annotations

import pytest

from distill_core.data import with_example
from distill_vision.data import example_of_images


@with_example(example_of_images(3, 4, 5))
def numbers(split, size=2, *, batch_size):
    raise AssertionError("the data were touched")


def test_the_shape_and_the_size():
    batch = numbers.example_batch("train", batch_size=7)
    assert {name: tuple(t.shape) for name, t in batch.items()} == {"input": (7, 3, 4, 5), "target": (7,), "index": (7,)}


def test_a_missing_argument_is_refused():
    with pytest.raises(TypeError, match="missing a required argument: 'batch_size'"):
        numbers.example_batch("train")
