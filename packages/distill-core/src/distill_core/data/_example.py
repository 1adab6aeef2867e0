"""Example batches without data, which a preview sends through the models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ._vocabulary import Vocabulary

DataFunction = TypeVar("DataFunction", bound=Callable[..., Any])


def with_example(
    example: Callable[..., dict[str, Any]],
    check: Callable[..., str] | None = None,
    vocabulary: Callable[..., Vocabulary | None] | None = None,
) -> Callable[[DataFunction], DataFunction]:
    """Give a function that returns a loader the attributes `example_batch`, `check_model` and `vocabulary_of`.

    `example_batch` has the same parameters as the function. It returns a batch like those of the loader, on the meta
    device, and reads no data.

    Args:
        example: Creates the batch. It receives those arguments of the data function that it names, with defaults.
        check: Raises `DataError` if a model cannot read the batches. It returns what it cannot know without the data, or an
            empty string. It receives the `name` of the model, the `model`, `inputs` (its parameters → fields of a batch),
            and those arguments of the data function that it names.
        vocabulary: Returns the vocabulary of a model. It receives the `model`, `inputs` and arguments, as `check` does.

    >>> import torch
    >>> def example(batch_size, size):
    ...     return {"input": torch.empty(batch_size, 3, size, size, device="meta")}
    >>> @with_example(example)
    ... def pictures(folder, *, batch_size, size=32): ...
    >>> pictures.example_batch("pictures", batch_size=64)["input"].shape
    torch.Size([64, 3, 32, 32])
    """

    def attach(function: DataFunction) -> DataFunction:
        signature = inspect.signature(function)

        def example_batch(*arguments: Any, **keywords: Any) -> dict[str, Any]:
            """Return a batch of meta tensors with the number of samples of the loader's batches."""
            return example(**_named_by(example, signature.bind(*arguments, **keywords)))

        def check_model(arguments: Sequence[Any], keywords: Mapping[str, Any], *reader: Any) -> str:
            """Raise `DataError` if a model cannot read what the function returns for these arguments."""
            return "" if check is None else check(*reader, **_named_by(check, signature.bind(*arguments, **keywords)))

        def vocabulary_of(arguments: Sequence[Any], keywords: Mapping[str, Any], *reader: Any) -> Vocabulary | None:
            """Return the vocabulary of a model that reads what the function returns for these arguments."""
            bound = signature.bind(*arguments, **keywords)
            return None if vocabulary is None else vocabulary(*reader, **_named_by(vocabulary, bound))

        vars(function).update(example_batch=example_batch, check_model=check_model, vocabulary_of=vocabulary_of)
        return function

    return attach


def _named_by(function: Callable[..., Any], bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return the arguments that the function names, with defaults."""
    bound.apply_defaults()
    wanted = inspect.signature(function).parameters
    return {name: value for name, value in bound.arguments.items() if name in wanted}
