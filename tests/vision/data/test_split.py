"""Splits and balanced choices: exact shares, whatever the classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_core.errors import DataError
from distill_vision.data import balanced_choice, stratified_order

CLASSES = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(torch.tensor)


@settings(deadline=None)
@given(CLASSES, st.integers(-(2**63), 2**63 - 1), st.data())
def test_every_stretch_has_the_classes_in_their_shares(targets, seed, data):
    order = stratified_order(targets, seed)
    assert sorted(order.tolist()) == list(range(len(targets)))
    start = data.draw(st.integers(0, len(targets)))
    stop = data.draw(st.integers(start, len(targets)))
    stretch = torch.bincount(targets[order[start:stop]], minlength=5)
    share = torch.bincount(targets, minlength=5) * (stop - start) / len(targets)
    assert ((stretch - share).abs() <= 2).all()


def test_an_order_follows_from_its_seed():
    targets = torch.arange(200) % 10
    assert torch.equal(stratified_order(targets, 3), stratified_order(targets, 3))
    assert not torch.equal(stratified_order(targets, 3), stratified_order(targets, 4))


def test_the_order_is_this_one_on_every_machine():
    """Compare with fixed values: another order would move training images of teachers into the test split."""
    assert stratified_order(torch.arange(12) % 3, 0).tolist() == [0, 7, 11, 9, 4, 2, 6, 1, 8, 3, 10, 5]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_a_choice_is_balanced_and_part_of_a_larger_one(count, seed):
    targets = torch.arange(100) % 5
    chosen = balanced_choice(targets, count, seed)
    per_class = torch.bincount(targets[chosen], minlength=5)
    assert len(chosen) == count == len(set(chosen.tolist()))
    assert chosen.tolist() == sorted(chosen.tolist())
    assert per_class.max() - per_class.min() <= 1
    assert set(chosen.tolist()) <= set(balanced_choice(targets, 80, seed).tolist())


def test_another_seed_chooses_others():
    targets = torch.arange(1000) % 10
    assert not torch.equal(balanced_choice(targets, 100, 0), balanced_choice(targets, 100, 1))


def test_more_than_there_is_of_a_class_is_refused():
    targets = torch.tensor([0] * 20 + [1] * 4)
    assert len(balanced_choice(targets, 9, 0)) == 9
    with pytest.raises(DataError) as error:
        balanced_choice(targets, 10, 0, "labels")
    assert (
        str(error.value)
        == "`labels` 10 needs 5 images of class 1, got 4\n  hint: reduce `labels`: each of 2 classes contributes equally"
    )


@pytest.mark.parametrize("count", [0, -10])
def test_a_choice_of_nothing_is_refused(count):
    with pytest.raises(DataError) as error:
        balanced_choice(torch.arange(10), count, 0, "labels")
    assert str(error.value) == f"`labels` must be >= 1, got {count}"
