"""Models rebuilt from some of their modules with new ones between, so that only what a stage needs is computed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..hooks import resolve


def parts(model: nn.Module, modules: Sequence[str | nn.Module]) -> nn.Sequential:
    """Build a chain of modules of `model` and new modules, in the given order.

    The modules are not copied: the chain and the model share weights, so a later stage may continue with the original
    model. Student redesign follows: Yoshitomo Matsubara. "torchdistill: A Modular, Configuration-Driven Framework for Knowledge
    Distillation". RRPR 2021. https://arxiv.org/abs/2011.12913

    Args:
        model: The model to take modules from.
        modules: Paths of its modules (`conv1`, `layer1.0`) or new modules (`nn.Flatten()`).

    Returns:
        The chain. A module keeps its path as name, with `_` for dots. A new module is named by its index.

    Raises:
        WiringError: If a path does not exist.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> short = parts(model, ["0", nn.Tanh()])
    >>> short[0] is model[0], len(short)
    (True, 2)
    """
    chain = nn.Sequential()
    for position, part in enumerate(modules):
        name = part.replace(".", "_") if isinstance(part, str) else str(position)
        while hasattr(chain, name):
            name += "_"
        chain.add_module(name, resolve(model, part) if isinstance(part, str) else part)
    return chain
