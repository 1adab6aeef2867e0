"""Schedules: numbers that change with the stage's epochs."""

from __future__ import annotations

import pytest

from distill_core.experiment import StageProgress
from distill_core.schedules import Cosine, Linear, Step, Warmup


def at(epoch, epochs=10):
    return StageProgress(stage=0, step=round(epoch * 4), steps=4 * epochs, epochs=epochs)


def values(schedule, epochs):
    return [schedule(at(epoch)) for epoch in epochs]


def test_linear_goes_over_the_whole_stage():
    assert values(Linear(start=2.0, end=4.0), [0, 2.5, 5, 10]) == [2.0, 2.5, 3.0, 4.0]


@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_a_stretch_of_the_stage_has_constant_ends(kind):
    assert values(kind(start=1.0, end=0.0, since=2, until=6), [0, 2, 4, 6, 10]) == pytest.approx([1, 1, 0.5, 0, 0])


def test_a_stretch_without_length_is_a_jump():
    assert values(Linear(start=1.0, end=0.0, since=3, until=3), [2.75, 3]) == [1.0, 0.0]


def test_cosine_begins_and_ends_flat():
    first, second = values(Cosine(start=0.0, end=1.0), [1, 2])
    assert first == pytest.approx(0.0244717, abs=1e-6)
    assert second - first > 2 * first


def test_a_warmup_counts_whole_epochs_from_one():
    assert values(Warmup(value=8.0, epochs=4), [0, 0.75, 1, 3, 9]) == [2.0, 2.0, 4.0, 8.0, 8.0]


def test_a_step_falls_at_each_milestone():
    assert values(Step(start=1.0, milestones=[3, 6]), [2.75, 3, 6, 9]) == pytest.approx([1, 0.1, 0.01, 0.01])
