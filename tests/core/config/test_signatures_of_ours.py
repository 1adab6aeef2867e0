"""Parameters of Distill's data functions, losses and metrics, read from source as `check` does."""

from __future__ import annotations

import importlib
import inspect

import pytest

from distill_core.config._signatures import of_definition, of_method, of_object
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


CALLED = {
    "distill_core.losses": "forward",
    "distill_nlp.losses": "forward",
    "distill_vision.metrics": "update",
    "distill_nlp.metrics": "update",
    "torch.nn.modules.loss": "forward",
}
METHODS = [
    (f"{module}.{name}", method)
    for module, method in CALLED.items()
    for name, thing in vars(importlib.import_module(module)).items()
    if inspect.isclass(thing) and not name.startswith("_") and hasattr(thing, method) and name != "Module"
]


@pytest.mark.parametrize(("path", "method"), METHODS, ids=[path for path, _ in METHODS])
def test_the_source_shows_the_inputs_of_losses_and_metrics(path, method):
    module, _, name = path.rpartition(".")
    read = of_method(find_definition(path), method)
    real = of_object(getattr(getattr(importlib.import_module(module), name), method))
    if real.var_positional:  # torch's base classes of losses define no forward
        assert read is None
        return
    assert [(item.name, item.required) for item in read.parameters] == [
        (item.name, item.required) for item in real.parameters[1:]
    ]
