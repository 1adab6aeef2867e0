"""Truncation of an `nn.Sequential` after the last module that is needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from torch import nn


def head(model: nn.Module, wanted: Collection[nn.Module]) -> nn.Module:
    """Return the part of `model` that is needed to run some modules inside it.

    Only an `nn.Sequential`, nested or not, is known to call its modules one after the other and to do nothing else.
    Modules behind the last one that is needed are omitted.

    Args:
        model: Any model.
        wanted: Modules inside it.

    Returns:
        A shorter `nn.Sequential` of the same modules, or `model` itself if it cannot be truncated.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 9)), nn.Linear(9, 1))
    >>> [name for name, _ in head(model, [model[0], model[1][0]]).named_modules()]
    ['', '0', '1', '1.0']
    """
    return _head(model, {id(module) for module in wanted})


def _head(model: nn.Module, wanted: set[int]) -> nn.Module:
    if id(model) in wanted or not _is_plain_sequential(model):
        return model
    children = list(model._modules.items())  # noqa: SLF001 - `named_children` omits a module's second name
    holds = [any(id(inner) in wanted for inner in child.modules()) for _, child in children if child is not None]
    if not any(holds):
        return model
    last = max(index for index, holds_wanted in enumerate(holds) if holds_wanted)
    name, child = children[last]
    end = _head(child, wanted)  # type: ignore[arg-type]
    if end is child and last + 1 == len(children):
        return model
    short = nn.Sequential(OrderedDict([*children[:last], (name, end)]))  # type: ignore[list-item]
    short.training = model.training  # not `train()`, which would change the modules inside
    return short


def _is_plain_sequential(model: nn.Module) -> bool:
    """Return whether `model` is an unmodified `nn.Sequential` without hooks, which need its complete forward."""
    return (
        isinstance(model, nn.Sequential)
        and type(model).forward is nn.Sequential.forward
        and not (model._forward_hooks or model._forward_pre_hooks or hasattr(model, "_hf_hook"))  # noqa: SLF001
        and None not in model._modules.values()  # noqa: SLF001
    )
