"""Files of `torch.export` as models."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn


class ProgramModel(nn.Module):
    """A file of `torch.export` as a model with the parameter names and outputs of the exported one.

    Args:
        file: The file.
        inputs: Names of the inputs in order.
        outputs: Names of the outputs in order.
    """

    def __init__(self, file: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.program = torch.export.load(file).module()
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in inputs])

        def forward(*args: Tensor, **kwargs: Tensor) -> Tensor | dict[str, Tensor]:
            given = signature.bind(*args, **kwargs).arguments
            found = self.program(*given.values()) if len(inputs) == 1 else self.program(**given)
            tensors = (found,) if isinstance(found, Tensor) else tuple(found)
            values = dict(zip(outputs, tensors, strict=True))
            return values["output"] if list(values) == ["output"] else values

        forward.__signature__ = signature  # type: ignore[attr-defined]
        self.forward = forward

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Return the model, which computes as it was exported: in eval mode."""
        return self
