"""Parameters with several names."""

from __future__ import annotations

from torch import nn


def tied_names(module: nn.Module) -> dict[str, str]:
    """Return name → first name of each parameter that has several.

    >>> layer = nn.Linear(2, 2)
    >>> tied_names(nn.Sequential(layer, layer))
    {'1.weight': '0.weight', '1.bias': '0.bias'}
    """
    first: dict[int, str] = {}
    named = module.named_parameters(remove_duplicate=False)
    return {name: owner for name, each in named if (owner := first.setdefault(id(each), name)) != name}
