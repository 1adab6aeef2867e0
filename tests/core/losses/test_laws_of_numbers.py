"""Every number in a loss's constructor has a range, which its constructor and `distill check` both keep."""

from __future__ import annotations

import importlib
import inspect
import math
import typing

import pytest

from distill_core.config import check, read
from distill_core.experiment import Experiment
from distill_core.ranges import without_range
from distill_core.registry import lookup, names


def _losses():
    for module in ("distill_core.losses", "distill_nlp.losses"):
        importlib.import_module(module)
    for name in names():
        thing = lookup(name)
        if inspect.isclass(thing) and thing.__module__.split(".")[:2] in (
            ["distill_core", "losses"],
            ["distill_nlp", "losses"],
        ):
            yield thing


def _leaves(hint):
    """The members of a hint that are not unions or containers."""
    bare, bounds = without_range(hint)
    if bounds is None and typing.get_args(bare):
        for inner in typing.get_args(bare):
            yield from _leaves(inner)
    else:
        yield bare, bounds


def _numbers():
    for loss in _losses():
        hints = typing.get_type_hints(loss.__init__, include_extras=True)
        for name in inspect.signature(loss).parameters:
            for bare, bounds in _leaves(hints[name]) if "Callable" not in str(hints[name]) else ():
                if bare in (int, float):
                    yield pytest.param(loss, name, bare, bounds, id=f"{loss.__name__}.{name}")


NUMBERS = list({case.id: case for case in _numbers()}.values())


def _is_sequence(loss, name):
    hint = str(typing.get_type_hints(loss.__init__)[name])
    return "Sequence" in hint or "tuple" in hint


def test_there_are_enough_numbers():
    assert len(NUMBERS) > 120


@pytest.mark.parametrize(("loss", "name", "bare", "bounds"), NUMBERS)
def test_a_constructor_refuses_what_is_out_of_range(loss, name, bare, bounds):
    assert bounds is not None, "a number without a range"
    values = [-1, *([math.nan, math.inf, -math.inf] if bare is float else []), *([0] if 0 not in bounds else [])]
    for value in values:
        given = [value] if _is_sequence(loss, name) else value
        with pytest.raises(ValueError, match=f"^`{name}` must be .*, got {value}$"):
            loss(**{name: given})


def _is_tuple(loss, name):
    return "tuple" in str(typing.get_type_hints(loss.__init__)[name])


# `check` does not look into a tuple.
CHECKED = [case for case in NUMBERS if not _is_tuple(*case.values[:2])]


@pytest.mark.parametrize(("loss", "name", "bare", "bounds"), CHECKED)
def test_a_check_refuses_it_too(tmp_path, monkeypatch, loss, name, bare, bounds):
    monkeypatch.chdir(tmp_path)
    value = "[-1]" if _is_sequence(loss, name) else "-1"
    path = f"{loss.__module__.rpartition('.')[0]}.{loss.__name__}"
    text = f"models: {{}}\ndata: {{}}\nstages:\n- losses: {{a: {{inputs: {{}}, loss: !import_call:{path} {{{name}: {value}}}}}}}\n"
    (tmp_path / "run.yaml").write_text(text)
    found = [problem.message for problem in check(read("run.yaml"), Experiment)]
    assert any("must be" in message and message.endswith("got -1") for message in found), found
