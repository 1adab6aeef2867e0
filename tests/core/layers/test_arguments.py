"""Hyper-parameters that are refused."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from distill_core.layers import one_of, positive, within

Colour = Literal["red", "green", "blue"]


def test_what_is_allowed_comes_back():
    assert one_of("colour", "green", Colour) == "green"
    assert positive("temperature", 0.5) == 0.5


def test_what_is_not_is_named_with_what_is():
    with pytest.raises(ValueError) as error:
        one_of("colour", "grey", Colour)
    assert str(error.value) == "`colour` must be 'red' or 'green' or 'blue', got 'grey'"


@pytest.mark.parametrize("value", [0.0, -2.0, math.nan])
def test_what_is_not_above_zero_is_refused(value: float):
    with pytest.raises(ValueError) as error:
        positive("temperature", value)
    assert str(error.value) == f"`temperature` must be {'> 0' if value == value else 'a finite number'}, got {value}"


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_number_within_its_bounds_is_taken(value: float):
    assert within("beta", value, 0, 1) == value


def test_a_number_outside_its_bounds_is_refused():
    with pytest.raises(ValueError) as error:
        within("beta", 1.5, 0, 1)
    assert str(error.value) == "`beta` must be >= 0 and <= 1, got 1.5"
    with pytest.raises(ValueError) as error:
        within("alpha", float("nan"))
    assert str(error.value) == "`alpha` must be a finite number, got nan"
