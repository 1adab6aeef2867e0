"""Models built from the import path and arguments on a card."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from ._card import Card
from ._errors import ZooError, did_you_mean
from ._optional import optional

if TYPE_CHECKING:
    from torch import nn

NUMBER_OF_CLASSES = ("num_classes", "num_labels")
"""Builder arguments that set the number of classes."""


def build(card: Card, overrides: Mapping[str, Any], builder: Callable[..., Any] | None = None) -> nn.Module:
    """Build the card's model with newly initialised weights.

    Args:
        overrides: Arguments that replace the card's.
        builder: A function that replaces the card's builder.

    Raises:
        ZooError: The card has no builder, its package is not installed, or an argument is unknown to it.
    """
    if builder is None and not card.builder:
        message = f"{card.name}: the card has no builder"
        raise ZooError(message, hint=f"load its tensors with load_state_dict('{card.name}')")
    function = builder or _find(card.name, card.builder)
    parameters = inspect.signature(function).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for key in overrides.keys() - parameters.keys():
        if not takes_any:
            message = f"{card.name}: {card.builder}() has no parameter '{key}'"
            raise ZooError(message, hint=did_you_mean(key, parameters))
    kwargs = {key: _argument(card.name, value) for key, value in card.kwargs.items() if key not in overrides}
    model: nn.Module = function(**{**kwargs, **overrides})
    return model


def head_names(card: Card, overrides: Mapping[str, Any], builder: Callable[..., Any] | None = None) -> set[str]:
    """Return the names of the tensors whose shape changes because an override sets the number of classes."""
    others = {key: value for key, value in overrides.items() if key not in NUMBER_OF_CLASSES}
    if len(others) == len(overrides):
        return set()
    before, after = _shapes(card, others, builder), _shapes(card, overrides, builder)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _shapes(card: Card, overrides: Mapping[str, Any], builder: Callable[..., Any] | None) -> dict[str, Any]:
    torch = optional("torch", f"reading {card.name} requires torch")
    model: nn.Module | None = None
    with contextlib.suppress(Exception), torch.device("meta"):  # constructors that read values need real memory
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
    function: Any = getattr(optional(module, f"building {name} requires {package}"), attribute, None)
    if not callable(function):
        message = f"{name}: the installed {module} has no function '{attribute}'"
        raise ZooError(message, hint=f"install a newer {package}")
    return cast("Callable[..., Any]", function)
