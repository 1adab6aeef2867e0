"""Indices drawn from samplers, as a function of seed, stage and epoch."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from ..errors import DataError
from ._seeds import SeedPath, derive_seed, preserve_rng_state

_CONTAINERS = (Sampler, list, tuple, dict, str, bytes, range, Tensor, np.ndarray)


def check_sampler(sampler: Any, name: str) -> None:
    """Check that a sampler or batch sampler has a length and does not split the data over processes.

    Args:
        sampler: Any iterable.
        name: The argument's name, for messages.

    Raises:
        DataError: It is not iterable, has no length or splits the data.
    """
    kind = type(sampler).__name__
    if not hasattr(sampler, "__iter__") and not hasattr(sampler, "__getitem__"):
        message = f"{name}: {kind} is not iterable; a sampler yields indices, a batch sampler lists of indices"
        raise DataError(message)
    for each in _nested(sampler):
        if getattr(each, "num_replicas", 1) != 1:
            message = (
                f"{name}: {type(each).__name__} splits the samples over {each.num_replicas} processes, which a Loader does "
                "itself"
            )
            raise DataError(message, hint="use shuffle=True, or the sampler that you would use in a single process")
    if length_of(sampler, name) == 0:
        message = f"{name}: {kind} has length 0, so an epoch would have no samples"
        raise DataError(message)


def length_of(sampler: Any, name: str) -> int:
    """Return the length of a sampler.

    Raises:
        DataError: It has no length.
    """
    try:
        return len(sampler)
    except (TypeError, NotImplementedError, AttributeError) as error:
        message = f"{name}: {type(sampler).__name__} has no length, so the number of steps is not known before training"
        raise DataError(message, hint="give it a `__len__`") from error


def draw_order(sampler: Any, seed_path: SeedPath, dataset: Any) -> Tensor:
    """Draw an epoch's indices from a sampler.

    Returns:
        (samples,) int64.

    Raises:
        DataError: It yields something other than indices of the dataset, or not as many as its length.
    """
    return _checked(_drawn(sampler, "sampler", seed_path, dataset), dataset, f"sampler: {type(sampler).__name__}")


def draw_batches(sampler: Any, seed_path: SeedPath, dataset: Any) -> tuple[Tensor, list[int]]:
    """Draw an epoch's batches from a batch sampler.

    Returns:
        The indices of all batches (samples,) int64, and the size of each batch.

    Raises:
        DataError: It yields something other than batches of indices, or not as many as its length.
    """
    where = f"batch_sampler: {type(sampler).__name__}"
    batches = _drawn(sampler, "batch_sampler", seed_path, dataset)
    for number, batch in enumerate(batches):
        if isinstance(batch, str) or not hasattr(batch, "__iter__") or not hasattr(batch, "__len__"):
            message = f"{where} must yield lists of indices, got {batch!r} as batch {number}"
            raise DataError(message)
        if len(batch) == 0:
            message = f"{where} must yield batches of at least one index, but batch {number} is empty"
            raise DataError(message)
    return _checked(list(chain.from_iterable(batches)), dataset, where), [len(batch) for batch in batches]


def _drawn(sampler: Any, name: str, seed_path: SeedPath, dataset: Any) -> list[Any]:
    """Return what a copy of a sampler yields with its generators and the global ones seeded.

    The sampler itself does not change, so no state is carried over to another epoch.
    """
    length = length_of(sampler, name)
    own, copied = _copy(sampler, name, dataset)
    seed = derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch)
    for index, generator in enumerate(filter(_is_generator, copied)):
        _seed(generator, seed if index == 0 else derive_seed(seed, index))
    with preserve_rng_state(seed):
        for each in _nested(own):
            if callable(getattr(each, "set_epoch", None)):
                each.set_epoch(seed_path.epoch)
        drawn = list(islice(own, length + 1))
    if len(drawn) != length:
        given = f"more than {length}" if len(drawn) > length else str(len(drawn))
        message = (
            f"{name}: {type(sampler).__name__} has length {length}, but yields {given} in epoch {seed_path.epoch + 1}"
        )
        raise DataError(message, hint="its `__len__` must return what every epoch yields")
    return drawn


def _copy(sampler: Any, name: str, dataset: Any) -> tuple[Any, list[Any]]:
    """Return a deep copy that shares its datasets with the original, and all objects that were copied."""
    memo: dict[int, Any] = {id(data): data for data in chain([dataset], _data_of(sampler))}
    try:
        own = copy.deepcopy(sampler, memo)
    except Exception as error:
        message = (
            f"{name}: {type(sampler).__name__} cannot be copied ({type(error).__name__}: {error}); each epoch starts from a "
            "copy, so that a resumed run reads the same samples"
        )
        raise DataError(message, hint="give it a `__deepcopy__`") from error
    return own, list(memo.values())


def _nested(sampler: Any) -> Iterator[Any]:
    """Yield the sampler and those that it wraps."""
    seen: set[int] = set()
    waiting = [sampler]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        for value in getattr(each, "__dict__", {}).values():
            listed = value if isinstance(value, list | tuple) and value and isinstance(value[0], Sampler) else [value]
            waiting += [one for one in listed if isinstance(one, Sampler)]
        waiting += [each.sampler] if hasattr(each, "sampler") else []


def _data_of(sampler: Any) -> Iterator[Any]:
    """Yield the datasets that a sampler refers to, which are too large to be copied."""
    for each in _nested(sampler):
        for value in getattr(each, "__dict__", {}).values():
            if hasattr(value, "__getitem__") and hasattr(value, "__len__") and not isinstance(value, _CONTAINERS):
                yield value


def _is_generator(value: Any) -> bool:
    return isinstance(value, torch.Generator | random.Random | np.random.BitGenerator | np.random.RandomState)


def _seed(generator: Any, seed: int) -> None:
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, random.Random):
        generator.seed(seed)
    elif isinstance(generator, np.random.RandomState):
        generator.seed(seed & 0xFFFFFFFF)
    else:
        generator.state = type(generator)(seed).state


def _checked(drawn: Sequence[Any], dataset: Any, where: str) -> Tensor:
    """Return the indices as a tensor.

    Raises:
        DataError: They are not integers, or are outside the dataset.
    """
    try:
        indices = np.asarray(drawn)
    except (ValueError, TypeError):
        indices = np.empty(0, dtype=object)
    if indices.dtype.kind not in "iu" or indices.ndim != 1:
        other = next((each for each in drawn if not _is_index(each)), drawn[0])
        message = f"{where} must yield integers, the indices of samples, got {other!r}"
        raise DataError(message)
    outside = indices[(indices < 0) | (indices >= len(dataset))]
    if len(outside):
        message = (
            f"{where} yields index {outside[0]}; the indices of {type(dataset).__name__} are 0 to {len(dataset) - 1}"
        )
        raise DataError(message)
    return torch.from_numpy(indices.astype(np.int64))


def _is_index(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_weights(weights: Sequence[float] | Tensor | Iterable[float], num_samples: int) -> Tensor:
    """Return the weights of all samples as (samples,) float64.

    Raises:
        DataError: They are not one finite weight ≥ 0 per sample, or all are 0.
    """
    try:
        found = torch.as_tensor(weights, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        message = f"weights must be numbers, one for each sample: {error}"
        raise DataError(message) from error
    if found.dim() != 1 or len(found) != num_samples:
        message = f"weights must have shape ({num_samples},), one for each sample, got {tuple(found.shape)}"
        raise DataError(message)
    if not bool(found.isfinite().all()) or bool((found < 0).any()):
        wrong = int((~found.isfinite() | (found < 0)).nonzero()[0])
        message = f"weights must be finite and ≥ 0, got {found[wrong].item()} for sample {wrong}"
        raise DataError(message)
    if float(found.sum()) == 0:
        message = "weights are all 0, so no sample can be drawn"
        raise DataError(message)
    return found


def draw_weighted(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw indices with replacement, in proportion to their weights; `torch.multinomial` is limited to 2²⁴ weights."""
    cumulative = weights.cumsum(0)
    return torch.searchsorted(
        cumulative, torch.rand(count, generator=generator, dtype=torch.float64) * cumulative[-1], right=True
    )
