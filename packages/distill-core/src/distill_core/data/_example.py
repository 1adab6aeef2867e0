"""A batch without data: what `distill check --deep` sends through the models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

DataFunction = TypeVar("DataFunction", bound=Callable[..., Any])


def with_example(example: Callable[..., dict[str, Any]]) -> Callable[[DataFunction], DataFunction]:
    """Give a function that returns a loader the attribute `example_batch`.

    That is a function with the same parameters; it returns a batch such as the loader's, on the meta device, and touches
    no data.

    Args:
        example: Makes the batch. It gets those arguments of the data function that it names, defaults filled in.

    >>> import torch
    >>> def example(batch_size, size):
    ...     return {"input": torch.empty(batch_size, 3, size, size, device="meta")}
    >>> @with_example(example)
    ... def pictures(folder, *, batch_size, size=32): ...
    >>> pictures.example_batch("pictures", batch_size=64)["input"].shape
    torch.Size([64, 3, 32, 32])
    """
    wanted = inspect.signature(example).parameters

    def attach(function: DataFunction) -> DataFunction:
        signature = inspect.signature(function)

        def example_batch(*arguments: Any, **keywords: Any) -> dict[str, Any]:
            """A batch of meta tensors, of as many samples as the loader's batches."""
            bound = signature.bind(*arguments, **keywords)
            bound.apply_defaults()
            return example(**{name: value for name, value in bound.arguments.items() if name in wanted})

        vars(function)["example_batch"] = example_batch
        return function

    return attach
