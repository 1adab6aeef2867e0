"""A model from the import path and the arguments of a card."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ._card import Card
from ._errors import ZooError, did_you_mean
from ._optional import optional

if TYPE_CHECKING:
    from torch import nn

NUMBER_OF_CLASSES = ("num_classes", "num_labels")
"""Arguments of builders that say how many classes there are."""


def build(card: Card, overrides: Mapping[str, Any], builder: Callable[..., Any] | None = None) -> nn.Module:
    """The card's model with fresh weights.

    Args:
        overrides: Arguments in place of the card's.
        builder: The function that builds it in place of the card's.

    Raises:
        ZooError: Nobody offers a function that builds it, its package is not installed, or an argument is not its.
    """
    if builder is None and not card.builder:
        message = f"{card.name}: no function is known that builds it\n  hint: load_state_dict('{card.name}') gives its tensors"
        raise ZooError(message)
    function = builder or _find(card.name, card.builder)
    parameters = inspect.signature(function).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for key in overrides.keys() - parameters.keys():
        if not takes_any:
            message = f"{card.name}: {card.builder}() has no parameter '{key}'\n  hint: {did_you_mean(key, parameters)}"
            raise ZooError(message)
    kwargs = {key: _argument(card.name, value) for key, value in card.kwargs.items() if key not in overrides}
    model: nn.Module = function(**{**kwargs, **overrides})
    return model


def head_names(card: Card, overrides: Mapping[str, Any], builder: Callable[..., Any] | None = None) -> set[str]:
    """Return the names of the tensors whose shape depends on the number of classes, where an override changes it."""
    others = {key: value for key, value in overrides.items() if key not in NUMBER_OF_CLASSES}
    if len(others) == len(overrides):
        return set()
    before, after = _shapes(card, others, builder), _shapes(card, overrides, builder)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _shapes(card: Card, overrides: Mapping[str, Any], builder: Callable[..., Any] | None) -> dict[str, Any]:
    torch = optional("torch", f"{card.name} is read with torch")
    model: nn.Module | None = None
    with contextlib.suppress(Exception), torch.device("meta"):  # constructors that look at numbers need memory
        model = build(card, overrides, builder)
    state = (model or build(card, overrides, builder)).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _argument(name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and value.keys() == {"builder", "kwargs"}:
        return _find(name, value["builder"])(**{key: _argument(name, each) for key, each in value["kwargs"].items()})
    return value


def _find(name: str, path: str) -> Callable[..., Any]:
    module, _, attribute = path.rpartition(".")
    package = module.partition(".")[0]
    found: Any = getattr(optional(module, f"{name} is built by {package}"), attribute, None)
    if not callable(found):
        message = (
            f"{name}: {module}, as it is installed, has no function '{attribute}'\n  hint: install a newer {package}"
        )
        raise ZooError(message)
    function: Callable[..., Any] = found
    return function
