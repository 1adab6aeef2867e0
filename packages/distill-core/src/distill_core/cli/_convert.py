"""`distill convert`: weights from elsewhere into safetensors, or back; with a model, proven to fit it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import Builder, read_call
from ..weights import State, cleaned, misfit, other_shapes, read_state, save_tensors, unwrapped
from ._exit import refuse

SAFE, PICKLED = ".safetensors", (".pt", ".pth", ".bin")
_LAYOUT = "_state_dict"
_COUNTER = "num_batches_tracked"


def convert(
    source: Path,
    target: Path,
    *,
    model: str = "",
    arguments: Sequence[str] = (),
    key: str = "",
    trust: Sequence[str] = (),
) -> None:
    """Convert a file and print what was done.

    Args:
        source: A file of weights, `.pt`, `.pth`, `.bin` or `.safetensors`.
        target: The new file, of the other format; it appears whole or not at all.
        model: The import path of a model whose names and shapes the tensors must have.
        arguments: How to build it, `num_classes=10`.
        key: Where in the file the tensors are.
        trust: Packages whose objects may be named besides the trusted ones.

    Raises:
        ConfigError: The files or the model cannot be used.
        DistillError: The file holds something else, or does not fit the model.
    """
    _check_files(source, target)
    if arguments and not model:
        refuse(f"'{arguments[0]}' is an argument of a model, and no model is named", "write --model IMPORT_PATH")
    state = cleaned(read_state(source, key))
    if model:
        state = fitted(state, build_model(model, arguments, trust), source)
    _write(state.tensors, target)
    numbers = sum(tensor.numel() for tensor in state.tensors.values())
    print(*state.notes, sep="\n", end="\n" if state.notes else "")
    print(f"{target}: {len(state.tensors)} tensors, {numbers:,} numbers, {target.stat().st_size:,} bytes")


def _check_files(source: Path, target: Path) -> None:
    for path in (source, target):
        if path.suffix not in (SAFE, *PICKLED):
            refuse(f"{path} is no file of weights by its name", f"it ends in {', '.join((*PICKLED, SAFE))}")
    if (source.suffix == SAFE) == (target.suffix == SAFE):
        refuse(f"{source} and {target} have the same format", f"one of them ends in {SAFE}")
    if not source.is_file():
        refuse(f"there is no {source}")
    if target.exists():
        refuse(f"{target} exists", "remove it, or choose another name")


def build_model(path: str, arguments: Sequence[str], trust: Sequence[str]) -> nn.Module:
    """Build a model, without memory where it can be, past the guard that a file must pass too.

    Raises:
        ConfigError: The call does not fit, or gives something else.
        TrustError: It is outside what is trusted.
    """
    document = read_call(path, arguments)
    built: Any = None
    with contextlib.suppress(Exception), torch.device("meta"):  # constructors that look at numbers need memory
        built = Builder(document, trust).build(document.root)
    if built is None:
        built = Builder(document, trust).build(document.root)
    if not isinstance(built, nn.Module):
        refuse(f"'{path}' gives {type(built).__name__}, which is no model")
    return built


def fitted(state: State, model: nn.Module, source: Path) -> State:
    """The tensors with the names and shapes of a model.

    If they do not fit as they are, layouts of other code bases are tried that the model's own package knows.

    Raises:
        DistillError: They do not fit.
    """
    own = model.state_dict()
    state = _with_counters(unwrapped(state, own), own)
    wrong = _misfits(state.tensors, own)
    for name, layout in _layouts(model) if wrong else ():
        try:
            tensors = layout(state.tensors)
        except ValueError:  # it is another layout
            continue
        if not _misfits(tensors, own):
            changed = len(tensors.keys() - state.tensors.keys())
            return State(tensors, (*state.notes, f"names: {changed} changed by {name}", _proof(model)))
    if wrong:
        raise misfit(source, model, wrong)
    return State(state.tensors, (*state.notes, _proof(model)))


def _proof(model: nn.Module) -> str:
    return f"names and shapes: all those of {type(model).__name__}, no other"


def _with_counters(state: State, own: Mapping[str, Tensor]) -> State:
    """With the batch norms' counters, which torch saves since 0.4.1 only."""
    absent = [name for name in own.keys() - state.tensors.keys() if name.endswith(_COUNTER)]
    seen = [name for name in absent if f"{name.removesuffix(_COUNTER)}running_var" in state.tensors]
    if not seen:
        return state
    added = {name: torch.zeros((), dtype=own[name].dtype) for name in seen}
    return State(
        state.tensors | added,
        (*state.notes, f"added: '{_COUNTER}' of {len(seen)} batch norm{'s' * (len(seen) > 1)}, 0"),
    )


def _misfits(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing in the file" for name in sorted(own.keys() - tensors.keys())]
    surplus = [f"{name} is not in the model" for name in sorted(tensors.keys() - own.keys())]
    return [*missing, *surplus, *other_shapes(tensors, own).values()]


def _layouts(model: nn.Module) -> Iterator[tuple[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]]]:
    """The functions `…_state_dict` that a package of ours exports beside its models."""
    package = type(model).__module__.rpartition(".")[0]
    if not package.startswith("distill_"):
        return
    for name, thing in vars(sys.modules[package]).items():
        if name.endswith(_LAYOUT) and not name.startswith("_") and callable(thing):
            yield f"{package}.{name}", thing


def _write(tensors: Mapping[str, Tensor], target: Path) -> None:
    if target.suffix == SAFE:
        save_tensors(tensors, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".tmp")
    torch.save(dict(tensors), unfinished)
    os.replace(unfinished, target)
