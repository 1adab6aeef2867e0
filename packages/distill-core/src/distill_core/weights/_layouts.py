"""Names that other code bases give to the tensors of a model, which the model's class declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..errors import DistillError
from ._state_dict import State

_COUNTER = "num_batches_tracked"
_VARIANCE = "running_var"


@dataclass(frozen=True)
class Layout:
    """The names of another code base.

    A class declares its layouts as the attribute `layouts`.

    Attributes:
        source: The code base, for the log.
        renamed: Pattern → replacement of `re.sub`, applied to each name in this order. They must not change a name of the
            model itself.
        requires: Attributes that a model must have to compute what the other code base computes, with their values.

    >>> Layout("akamaster/pytorch_resnet_cifar10", {"^linear[.]": "fc."}).name("linear.bias")
    'fc.bias'
    """

    source: str
    renamed: Mapping[str, str]
    requires: Mapping[str, object] = field(default_factory=dict)

    def name(self, name: str) -> str:
        """Return the model's name of a tensor."""
        for pattern, replacement in self.renamed.items():
            name = re.sub(pattern, replacement, name)
        return name


_OF_OTHERS = {
    "torchvision.models.densenet.DenseNet": (
        Layout("torchvision's files", {r"(denselayer\d+[.](?:norm|relu|conv))[.]([12][.])": r"\1\2"}),
    ),
}
"""Layouts of classes of other packages, by their import paths."""


def _layouts_of(model: nn.Module) -> Sequence[Layout]:
    kind = type(model)
    declared: Sequence[Layout] = getattr(kind, "layouts", ())
    return declared or _OF_OTHERS.get(f"{kind.__module__}.{kind.__qualname__}", ())


def in_layout_of(state: State, model: nn.Module) -> State:
    """Return a state with the names of a model, if its names are those of a known layout of the model's class.

    A layout is used only if it gives all names of the model and no other. Batch norms saved before torch 0.4.1 have no
    count of batches; they get 0.

    Args:
        state: Tensors without the prefixes of wrappers.
        model: The model.

    Raises:
        DistillError: Two tensors would get one name, or the model computes something else than the other code base.
    """
    expected = model.state_dict()
    state = _with_counters(state, expected)
    if state.tensors.keys() == expected.keys():
        return state
    for layout in _layouts_of(model):
        names = {name: layout.name(name) for name in state.tensors}
        if changed := sum(new != old for old, new in names.items()):
            renamed = _with_counters(_renamed(state, names), expected)
            if renamed.tensors.keys() == expected.keys():
                _check_required(layout, model)
                return renamed._replace(notes=(*renamed.notes, f"names: {changed} changed from {layout.source}"))
    return state


def _check_required(layout: Layout, model: nn.Module) -> None:
    for name, value in layout.requires.items():
        if (given := getattr(model, name)) != value:
            kind = type(model).__name__
            message = f"the weights are those of {layout.source}, whose {kind} has `{name}` {value!r}, got {given!r}"
            raise DistillError(message, hint=f"build the model with {name}: {value}")


def _renamed(state: State, names: Mapping[str, str]) -> State:
    tensors: dict[str, Tensor] = {}
    for old, new in names.items():
        if new in tensors:
            message = f"two tensors would have the name '{new}', the second is '{old}'"
            raise DistillError(message, hint="split the file: it contains two models")
        tensors[new] = state.tensors[old]
    return state._replace(tensors=tensors)


def _with_counters(state: State, expected: Mapping[str, Tensor]) -> State:
    """Add the counters of batch norms, which torch saves only since 0.4.1."""
    absent = [name for name in expected if name.endswith(_COUNTER) and name not in state.tensors]
    counters = [name for name in absent if f"{name.removesuffix(_COUNTER)}{_VARIANCE}" in state.tensors]
    if not counters:
        return state
    added = {name: torch.zeros((), dtype=torch.int64) for name in counters}
    note = f"added: '{_COUNTER}' of {len(counters)} batch norm{'s' * (len(counters) > 1)}, 0"
    return state._replace(tensors=state.tensors | added, notes=(*state.notes, note))
