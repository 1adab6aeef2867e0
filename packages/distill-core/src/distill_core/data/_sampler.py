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
    """Check that a sampler or batch sampler has a length and does not split the data over processes itself.

    Args:
        sampler: Any iterable.
        name: The argument's name, for messages.

    Raises:
        DataError: It does not fit.
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
        DataError: It has none.
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
        DataError: It yields something other than as many indices of the data set as its length says.
    """
    return _checked(_drawn(sampler, "sampler", seed_path, dataset), dataset, f"sampler: {type(sampler).__name__}")


def draw_batches(sampler: Any, seed_path: SeedPath, dataset: Any) -> tuple[Tensor, list[int]]:
    """Draw an epoch's batches from a batch sampler.

    Returns:
        The indices of all batches (samples,) int64, and the size of each batch.

    Raises:
        DataError: It yields something other than as many batches of indices as its length says.
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
    """Iterate over a copy whose generators are seeded, with the global generators seeded, too.

    The sampler itself stays as it is, so nothing that an iteration leaves in it reaches another epoch.
    """
    length = length_of(sampler, name)
    own, copied = _copy(sampler, name, dataset)
    seed = derive_seed(seed_path.seed, seed_path.stage, seed_path.epoch)
    for number, generator in enumerate(filter(_is_generator, copied)):
        _seed(generator, seed if number == 0 else derive_seed(seed, number))
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
    """Return a deep copy that shares its data sets with the original, and all that was copied."""
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
    """The sampler and those that it wraps."""
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
    """The data sets that a sampler refers to: too large to be copied."""
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
    """The indices as a tensor.

    Raises:
        DataError: They are not integers from 0 to the length of the data set.
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
        DataError: They are not one finite weight ≥ 0 for each sample, or all are 0.
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
    """Draw indices with replacement, each in proportion to its weight; `torch.multinomial` ends at 2²⁴ weights."""
    reach = weights.cumsum(0)
    return torch.searchsorted(
        reach, torch.rand(count, generator=generator, dtype=torch.float64) * reach[-1], right=True
    )
