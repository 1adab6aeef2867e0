"""Inputs of a model from shapes on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ...preview import ExampleInputs
from .._exit import refuse

_SHAPE = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<open>\[?)(?P<sizes>[1-9][0-9]*(?:,[1-9][0-9]*)*)(?P<close>\]?)(?::(?P<dtype>\w+))?"
)


def read_inputs(texts: Sequence[str]) -> ExampleInputs:
    """Return inputs on the meta device: those without a name by position, the others by name.

    Args:
        texts: `[name=]sizes[:dtype]`; float32 by default. `[3,320,320]` is a list with one tensor, as detectors take it.

    Raises:
        ConfigError: A text does not have this form, or a name is given twice.

    >>> inputs = read_inputs(["1,3,64,64", "mask=1,64:bool"])
    >>> inputs.args[0].shape, inputs.kwargs["mask"].dtype
    (torch.Size([1, 3, 64, 64]), torch.bool)
    """
    args: list[Tensor | list[Tensor]] = []
    kwargs: dict[str, Tensor | list[Tensor]] = {}
    for text in texts:
        name, tensor = _read(text)
        if name is None:
            args.append(tensor)
        elif name in kwargs:
            refuse(f"--input {name} is given twice", "give each input once")
        else:
            kwargs[name] = tensor
    return ExampleInputs(tuple(args), kwargs, "--input")


def _read(text: str) -> tuple[str | None, Tensor | list[Tensor]]:
    match = _SHAPE.fullmatch(text)
    if match is None or bool(match["open"]) != bool(match["close"]):
        refuse(f"--input '{text}' is not a shape", "write it like 1,3,224,224 or input_ids=1,128:int64")
    dtype = getattr(torch, match["dtype"] or "float32", None)
    if not isinstance(dtype, torch.dtype):
        refuse(f"--input '{text}': there is no dtype '{match['dtype']}'", "write float32, int64 or bool")
    tensor = torch.empty([int(size) for size in match["sizes"].split(",")], dtype=dtype, device="meta")
    return match["name"], [tensor] if match["open"] else tensor
