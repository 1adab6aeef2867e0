"""Names of tensors without the prefixes of wrappers."""

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
"""Names that wrappers of a model prepend to the names of its tensors."""
_COMPILED = re.compile(r"(^|\.)_orig_mod\.")
_PARALLEL = "module."
_COUNTER_OF_AVERAGES = "n_averaged"


def unwrapped(state: State, expected: Collection[str]) -> State:
    """Remove the prefixes of known wrappers from names if the results are names of a model.

    Names outside the wrapper are unchanged, so that the loader refuses them: `head.weight` beside `model.fc.weight`.

    Args:
        state: Tensors with the names of the file.
        expected: Names in the state dict of the model.

    Raises:
        DistillError: Two prefixes match equally well, for example those of a student and its EMA.
    """
    names = {name: name for name in state.tensors}
    if not any("_orig_mod." in name for name in expected):
        names = {name: _COMPILED.sub(r"\1", name) for name in names}
    prefix = wrapper(names.values(), expected, state.key)
    notes = list(state.notes)
    if compiled := sum(new != old for old, new in names.items()):
        notes.append(f"names: '_orig_mod.' removed from {compiled}")
    if prefix:
        count = sum(name.startswith(prefix) for name in names.values())
        notes.append(f"names: '{prefix}' removed from {count} of {len(names)}")
        names = {old: new.removeprefix(prefix) for old, new in names.items()}
        if prefix.endswith(_PARALLEL) and _COUNTER_OF_AVERAGES in names.keys() - set(expected):
            del names[_COUNTER_OF_AVERAGES]
            notes.append(f"omitted: '{_COUNTER_OF_AVERAGES}' of torch's AveragedModel")
    return _renamed(state, names, notes)


def wrapper(names: Iterable[str], expected: Collection[str], key: str = "") -> str:
    """Return the prefix of known wrappers whose removal gives the most names of a model; "" if no removal helps.

    Args:
        names: Names in the file.
        expected: Names in the model.
        key: Key of the names in the file, for the hint.

    Raises:
        DistillError: Two prefixes match equally well.

    >>> wrapper(["model.module.fc.weight", "epoch"], ["fc.weight"])
    'model.module.'
    """
    names, expected = list(names), set(expected)
    counts = {
        prefix: sum(name.startswith(prefix) and name.removeprefix(prefix) in expected for name in names)
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
    """Yield the prefixes of a name that consist of wrappers only: `model.`, `model.module.`."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        if parts[end - 1] not in WRAPPERS:
            return
        yield ".".join(parts[:end]) + "."


def cleaned(state: State) -> State:
    """Remove the prefixes of `nn.DataParallel` (`module.`) and `torch.compile` (`_orig_mod.`) from every name.

    Used if the model is unknown; otherwise use `unwrapped`.

    Raises:
        DistillError: Two names become one.
    """
    names = {name: _COMPILED.sub(r"\1", name) for name in state.tensors}
    notes = list(state.notes)
    if changed := sum(new != old for old, new in names.items()):
        notes.append(f"names: '_orig_mod.' of torch.compile removed from {changed}")
    while all(name.startswith(_PARALLEL) for name in names.values()):
        names = {old: new.removeprefix(_PARALLEL) for old, new in names.items()}
        notes.append(f"names: '{_PARALLEL}' of nn.DataParallel removed from all {len(names)}")
    return _renamed(state, names, notes)


def _renamed(state: State, names: dict[str, str], notes: list[str]) -> State:
    tensors = {}
    for old, new in names.items():
        if new in tensors:
            message = f"two tensors would be called '{new}': '{old}' is the second"
            raise DistillError(message)
        tensors[new] = state.tensors[old]
    return state._replace(tensors=tensors, notes=tuple(notes))
