"""`distill convert`: PyTorch checkpoints to safetensors and back, checked against a model on request."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._command import Command
from .._exit import refuse
from .._options import PATH, json_option

if TYPE_CHECKING:
    from torch import Tensor

    from ...weights import State

SAFE, PICKLED = ".safetensors", (".pt", ".pth", ".bin")


@click.command(cls=Command)
@click.argument(
    "source",
    metavar="SOURCE",
    type=PATH,
    help="Weights: .pt, .pth, .bin or .safetensors; or the folder of a run or of one of its checkpoints.",
)
@click.argument("target", metavar="TARGET", type=PATH, help="Output file: .safetensors, or .pt from .safetensors.")
@click.argument("arguments", metavar="[KEY=VALUE]...", nargs=-1, help="Arguments of --model: num_classes=10")
@click.option(
    "--model",
    metavar="IMPORT_PATH",
    default="",
    show_default=False,
    help="Check that names and shapes are exactly those of this model.",
)
@click.option(
    "--key",
    metavar="NAME",
    default="",
    show_default=False,
    help="Key of the state dict in SOURCE, or the model of a checkpoint.",
)
@json_option
@click.option("--trust", metavar="PACKAGE", multiple=True, help="Also allow --model to name objects of this package.")
def convert(
    source: Path, target: Path, arguments: tuple[str, ...], model: str, key: str, as_json: bool, trust: tuple[str, ...]
) -> None:
    """Convert a checkpoint to safetensors, or back.

    Of a run, the newest checkpoint is read, also one whose tensors are sharded over the files of several processes. --json
    prints the file, its number of tensors, numbers and bytes, and what was omitted.
    """
    from .._record_output import record_output

    with record_output(as_json=as_json) as record:
        record |= convert_file(source, target, model=model, arguments=arguments, key=key, trust=trust)


def convert_file(
    source: Path,
    target: Path,
    *,
    model: str = "",
    arguments: Sequence[str] = (),
    key: str = "",
    trust: Sequence[str] = (),
) -> dict[str, Any]:
    """Convert a file of weights, print a summary and return it.

    Args:
        source: A file of weights: `.pt`, `.pth`, `.bin` or `.safetensors`; or the folder of a run or of a checkpoint.
        target: The output file, in the other format; it is written atomically.
        model: The import path of a model whose names and shapes the tensors must have.
        arguments: Arguments of the model: `num_classes=10`.
        key: Key of the state dict in the file, or the model of the checkpoint; needed if there are several.
        trust: Packages whose objects may be named besides the trusted ones.

    Raises:
        ConfigError: The files or the model cannot be used.
        DistillError: The file holds no state dict, or the tensors do not match the model.
    """
    from ...weights import cleaned, read_state

    _check_files(source, target)
    if arguments and not model:
        refuse(f"'{arguments[0]}' is an argument of --model, which is not set", "add --model IMPORT_PATH")
    state = _of_checkpoint(source, key) if source.is_dir() else cleaned(read_state(source, key))
    if model:
        from .._build_model import build_model
        from ._match_model import fitted

        state = fitted(state, build_model(model, arguments, trust), source)
    _write(state.tensors, target)
    numbers = sum(tensor.numel() for tensor in state.tensors.values())
    print(*state.notes, sep="\n", end="\n" if state.notes else "")
    size = target.stat().st_size
    print(f"{target}: {len(state.tensors)} tensors, {numbers:,} numbers, {size:,} bytes")
    counts = {"tensors": len(state.tensors), "numbers": numbers, "bytes": size}
    return {"file": str(target), **counts, "notes": list(state.notes)}


def _of_checkpoint(source: Path, key: str) -> State:
    """Return the weights of a model in the newest checkpoint of a run, or in the checkpoint itself."""
    from ...train.checkpoints import newest_checkpoint, read_model
    from ...weights import State

    checkpoint = newest_checkpoint(source)
    return State(read_model(checkpoint, key), (f"taken from {checkpoint}",))


def _check_files(source: Path, target: Path) -> None:
    for path in (target,) if source.is_dir() else (source, target):
        if path.suffix not in (SAFE, *PICKLED):
            refuse(f"{path} is not a file of weights", f"use one of the extensions {', '.join((*PICKLED, SAFE))}")
    if (source.suffix == SAFE) == (target.suffix == SAFE):
        refuse(f"{source} and {target} have the same format", f"use the extension {SAFE} for one of them")
    if source.is_dir() and target.suffix != SAFE:
        refuse(f"{target} is not a file of safetensors", f"use the extension {SAFE}")
    if not source.exists():
        refuse(f"there is no {source}")
    if target.exists():
        refuse(f"{target} exists", "remove it, or choose another name")


def _write(tensors: Mapping[str, Tensor], target: Path) -> None:
    import torch

    from ...weights import save_tensors

    if target.suffix == SAFE:
        save_tensors({name: tensor.clone() for name, tensor in tensors.items()}, target)  # tied ones each
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".tmp")
    torch.save(dict(tensors), unfinished)
    os.replace(unfinished, target)
