"""Parameters of Distill's data functions, read from source as `check` does."""

from __future__ import annotations

import importlib
import inspect

import pytest

from distill_core.config._signatures import of_definition, of_object
from distill_core.config._sources import find_definition

MODULES = ("distill_core.data", "distill_vision.data", "distill_nlp.data")


def _functions():
    for module in MODULES:
        for name, thing in vars(importlib.import_module(module)).items():
            is_manager = inspect.isgeneratorfunction(inspect.unwrap(thing))
            if inspect.isfunction(thing) and not name.startswith("_") and not is_manager:
                yield f"{module}.{name}"


@pytest.mark.parametrize("path", list(_functions()))
def test_the_source_tells_what_the_function_takes(path):
    module, _, name = path.rpartition(".")
    read, real = of_definition(find_definition(path)), of_object(getattr(importlib.import_module(module), name))
    assert read is not None
    assert [(item.name, item.required) for item in read.parameters] == [
        (item.name, item.required) for item in real.parameters
    ]
