"""Numbers out of range: in Python, in a file and in the JSON Schema."""

from __future__ import annotations

import dataclasses
import math
import typing

import pytest

from distill_core.config import json_schema
from distill_core.experiment import CacheSettings, Experiment, Stage, Term
from distill_core.ranges import Range, without_range
from distill_core.schedules import Cosine, Linear, Step, Warmup

RECORDS = (Experiment, Stage, Term, CacheSettings, Linear, Cosine, Warmup, Step)


def _ranged(record):
    """Yield the name, type and range of each numeric field of a record."""
    for name, hint in typing.get_type_hints(record, include_extras=True).items():
        for member in [hint, *typing.get_args(hint)]:
            bare, bounds = without_range(member)
            if bounds is not None and "Mapping" not in str(hint) and "Sequence" not in str(hint):
                yield name, bare, bounds


FIELDS = [
    pytest.param(record, *field, id=f"{record.__name__}.{field[0]}") for record in RECORDS for field in _ranged(record)
]


def _outside(bare, bounds):
    yield from (edge - 1 for edge in (bounds.min, bounds.above) if edge is not None)
    yield from (edge + 1 for edge in (bounds.max, bounds.below) if edge is not None)
    yield from (edge for edge in (bounds.above, bounds.below) if edge is not None)
    yield from [math.nan, math.inf, -math.inf] if bare is float else []


def _inside(bounds):
    return 1 if 1 in bounds else bounds.min


def _needed(record):
    required = [field.name for field in dataclasses.fields(record) if field.default is dataclasses.MISSING]
    hints = typing.get_type_hints(record)
    return {name: 1.0 if hints[name] is float else [] for name in required if record not in (Experiment,)} | (
        {"models": {}, "data": {}, "stages": []} if record is Experiment else {}
    )


def test_there_are_enough_fields():
    assert len(FIELDS) >= 20


@pytest.mark.parametrize(("record", "name", "bare", "bounds"), FIELDS)
def test_a_constructor_refuses_what_is_outside(record, name, bare, bounds):
    needed = {key: value for key, value in _needed(record).items() if key != name}
    record(**needed, **{name: _inside(bounds)})
    for value in _outside(bare, bounds):
        with pytest.raises(ValueError, match=f"^`{name}` must be ") as raised:
            record(**needed, **{name: value})
        assert str(raised.value) == f"`{name}` must be {bounds if math.isfinite(value) else Range()}, got {value}"


@pytest.mark.parametrize(
    ("record", "named", "message"),
    [
        (Step, {"start": 1.0, "milestones": [3, -6]}, "`milestones` must be >= 0, got -6"),
        (
            Experiment,
            {"models": {}, "data": {}, "stages": [], "ema": {"student": 2.0}},
            "`ema['student']` must be >= 0 and <= 1, got 2.0",
        ),
    ],
)
def test_what_containers_hold_is_checked(record, named, message):
    with pytest.raises(ValueError) as raised:
        record(**named)
    assert str(raised.value) == message


def test_a_schedule_is_a_weight():
    assert Term(loss=sum, inputs={}, weight=Warmup(value=1.0, epochs=2)).weight.epochs == 2


def test_an_editor_sees_the_same_ranges():
    schema = json_schema(Experiment)
    assert schema["properties"]["log_every"]["minimum"] == 1
    assert schema["properties"]["timeout"]["exclusiveMinimum"] == 0
    stage = schema["$defs"]["Stage"]["properties"]
    assert {"type": "integer", "minimum": 1} in stage["epochs"]["anyOf"]
    assert {"type": "integer", "minimum": 1} in stage["steps"]["anyOf"]
    assert {"type": "number", "exclusiveMinimum": 0} in stage["clip_grad_norm"]["anyOf"]
    assert schema["properties"]["ema"]["anyOf"][0]["additionalProperties"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
    }


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Range(), [0, -1e300, 10**400], [math.nan, math.inf, -math.inf]),
        (Range(min=1), [1, 2], [0, 0.999]),
        (Range(above=0), [5e-324], [0, -0.0]),
        (Range(max=1), [1, -5], [1.0000001]),
        (Range(below=1), [0.9999999], [1, 2]),
    ],
)
def test_bounds(bounds, inside, outside):
    assert all(value in bounds for value in inside)
    assert not any(value in bounds for value in outside)
