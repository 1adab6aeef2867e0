"""Names of tensors without what wrappers put before them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ..errors import DistillError
from ._state_dict import State

WRAPPERS = (
    "module",  # DataParallel, DistributedDataParallel, torch's AveragedModel, timm's ModelEma
    "_orig_mod",  # torch.compile
    "_forward_module",  # Lightning's Fabric
    "model",  # attributes of training scripts and of Lightning's modules
    "student",
    "net",
    "network",
    "ema",
    "ema_model",
    "model_ema",
)
"""What wraps a model and puts its own name before all of the model's."""
_COMPILED = re.compile(r"(^|\.)_orig_mod\.")
_PARALLEL = "module."
_COUNTER_OF_AVERAGES = "n_averaged"


def unwrapped(state: State, own: Collection[str]) -> State:
    """Take known wrappers off the names, as far as that makes them names of a model.

    Names outside the wrapper stay as they are, for a loader to refuse: `head.weight` beside `model.fc.weight`.

    Args:
        state: Tensors with the names of the file.
        own: The names in the model's own state dict.

    Raises:
        DistillError: Two wrappers fit equally well, a student's and its average's for example.
    """
    names = {name: name for name in state.tensors}
    if not any("_orig_mod." in name for name in own):
        names = {name: _COMPILED.sub(r"\1", name) for name in names}
    prefix = wrapper(names.values(), own, state.key)
    notes = list(state.notes)
    if compiled := sum(new != old for old, new in names.items()):
        notes.append(f"names: '_orig_mod.' taken out of {compiled}")
    if prefix:
        count = sum(name.startswith(prefix) for name in names.values())
        notes.append(f"names: '{prefix}' taken off {count} of {len(names)}")
        names = {old: new.removeprefix(prefix) for old, new in names.items()}
        if prefix.endswith(_PARALLEL) and _COUNTER_OF_AVERAGES in names.keys() - set(own):
            del names[_COUNTER_OF_AVERAGES]
            notes.append(f"left out: '{_COUNTER_OF_AVERAGES}' of torch's AveragedModel")
    return _renamed(state, names, notes)


def wrapper(names: Iterable[str], own: Collection[str], key: str = "") -> str:
    """Return the prefix of known wrappers without which most names are a model's, or "" if all are as they are.

    Args:
        names: Those in the file.
        own: Those in the model.
        key: Where in the file the names are, for the hint.

    Raises:
        DistillError: Two prefixes fit equally well.

    >>> wrapper(["model.module.fc.weight", "epoch"], ["fc.weight"])
    'model.module.'
    """
    names, own = list(names), set(own)
    counts = {
        prefix: sum(name.startswith(prefix) and name.removeprefix(prefix) in own for name in names)
        for prefix in {"", *(prefix for name in names for prefix in _prefixes(name))}
    }
    most = max(counts.values())
    best = sorted(prefix for prefix, count in counts.items() if count == most)
    if most == counts[""]:
        return ""
    if len(best) > 1:
        shown = " and ".join(f"'{prefix}'" for prefix in best)
        choice = ".".join(filter(None, (key, best[0].rstrip("."))))
        message = f"the file holds the model's tensors several times, under {shown}"
        raise DistillError(message, hint=f"choose one, key: {choice}")
    return best[0]


def _prefixes(name: str) -> Iterable[str]:
    """The beginnings of a name that are wrappers only: `model.`, `model.module.`."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        if parts[end - 1] not in WRAPPERS:
            return
        yield ".".join(parts[:end]) + "."


def cleaned(state: State) -> State:
    """Take off what `nn.DataParallel` (`module.`) and `torch.compile` (`_orig_mod.`) put into every name.

    For tensors whose model is unknown; `unwrapped` knows it.

    Raises:
        DistillError: Two names become one.
    """
    names = {name: _COMPILED.sub(r"\1", name) for name in state.tensors}
    notes = list(state.notes)
    if changed := sum(new != old for old, new in names.items()):
        notes.append(f"names: '_orig_mod.' of torch.compile taken out of {changed}")
    while all(name.startswith(_PARALLEL) for name in names.values()):
        names = {old: new.removeprefix(_PARALLEL) for old, new in names.items()}
        notes.append(f"names: '{_PARALLEL}' of nn.DataParallel taken off all {len(names)}")
    return _renamed(state, names, notes)


def _renamed(state: State, names: dict[str, str], notes: list[str]) -> State:
    tensors = {}
    for old, new in names.items():
        if new in tensors:
            message = f"two tensors would be called '{new}': '{old}' is the second"
            raise DistillError(message)
        tensors[new] = state.tensors[old]
    return state._replace(tensors=tensors, notes=tuple(notes))
