"""Conversion of torch's DataLoader, with all of its options."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler

from ..errors import DataError
from ._loader import Loader
from ._reader import WorkerOptions
from ._stream import Stream

OPTIONS = {
    "dataset": "honoured",
    "batch_size": "honoured; None without a batch sampler is refused",
    "shuffle": "honoured",
    "sampler": "honoured, drawn by seed, stage and epoch",
    "batch_sampler": "honoured, drawn by seed, stage and epoch",
    "num_workers": "honoured",
    "collate_fn": "honoured",
    "pin_memory": "honoured",
    "drop_last": "honoured",
    "timeout": "honoured; refused without workers, where torch fails",
    "worker_init_fn": "honoured",
    "multiprocessing_context": "honoured",
    "generator": "honoured as the sampler's, seeded for each epoch",
    "prefetch_factor": "honoured",
    "persistent_workers": "honoured",
    "pin_memory_device": "refused: torch ignores it",
    "in_order": "False is refused with workers: a run could not be repeated",
}
"""The treatment of each option of a DataLoader. An option that is not listed is refused unless it has its default."""


def as_loader(data: Any) -> Loader:
    """Return a `Loader` unchanged, and a `DataLoader` as a `Loader` of the same samples in batches of the same size.

    A `DataLoader` of an `IterableDataset`, and a loader with `state_dict` and `load_state_dict`, become a `Stream`.

    The sampler or batch sampler decides the order of each epoch. Its own generators and the global ones are seeded with
    seed, stage and epoch, so that a run can be repeated and resumed. The options of the workers are kept.

    Raises:
        DataError: The argument is neither, or one of its options cannot be honoured.
    """
    if isinstance(data, Loader):
        return data
    if not isinstance(data, DataLoader) and not _has_state(data):
        message = f"{type(data).__name__} is not a loader"
        hint = "give a distill_core.data.Loader or a torch DataLoader; a Stream for an iterable dataset"
        raise DataError(message, hint=hint if isinstance(data, IterableDataset) else hint.partition(";")[0])
    if not _has_state(data):
        _refuse(data)
    given = {name: getattr(data, name, None) for name in OPTIONS}
    known, loader = vars(data).get("_distill_loader", (None, None))  # the workers survive the next call
    if known != given:
        loader = _rebuilt(data)
        vars(data)["_distill_loader"] = given, loader
    return loader  # type: ignore[no-any-return]


def _has_state(data: Any) -> bool:
    """Return whether this is a loader that saves and restores its own position, as torchdata's StatefulDataLoader does."""
    is_loader = isinstance(getattr(data, "batch_size", None), int)
    return is_loader and all(callable(getattr(data, name, None)) for name in ("state_dict", "load_state_dict"))


def _rebuilt(data: DataLoader[Any]) -> Loader:
    if _has_state(data):
        return Stream(data, data.batch_size or 1, yields_batches=True)
    options = WorkerOptions(**{field.name: getattr(data, field.name) for field in fields(WorkerOptions)})
    kept: dict[str, Any] = {"num_workers": data.num_workers, "workers": options, "collate": data.collate_fn}
    if isinstance(data.dataset, IterableDataset):
        return Stream(data.dataset, data.batch_size or 1, **kept)
    batches: Any = data.batch_sampler
    if type(batches) is not BatchSampler:
        return Loader(data.dataset, batch_sampler=batches, **kept)
    order: Any = batches.sampler
    reads_all = _reads_all(order, data.dataset)
    return Loader(
        data.dataset,
        batches.batch_size,
        shuffle=reads_all and isinstance(order, RandomSampler),
        sampler=None if reads_all else order,
        drop_last=batches.drop_last,
        **kept,
    )


def _reads_all(sampler: Any, dataset: Any) -> bool:
    """Return whether a sampler yields each sample once, in order or in random order."""
    if type(sampler) is RandomSampler:
        once = not sampler.replacement and sampler.num_samples == len(sampler.data_source)
        return once and len(sampler.data_source) == len(dataset)
    return type(sampler) is SequentialSampler and len(sampler.data_source) == len(dataset)


def _refuse(data: DataLoader[Any]) -> None:
    """Refuse options that cannot be honoured.

    Raises:
        DataError: An option cannot be honoured.
    """
    kind = type(data).__name__
    if type(data).__iter__ is not DataLoader.__iter__ or type(data)._get_iterator is not DataLoader._get_iterator:  # noqa: SLF001
        message = f"{kind} overrides how a DataLoader iterates, which a Loader would ignore"
        raise DataError(
            message, hint="give a plain DataLoader, not yet prepared by another library, or a distill_core.data.Loader"
        )
    if data.batch_size is None and (data.batch_sampler is None or isinstance(data.dataset, IterableDataset)):
        message = "batch_size=None: a DataLoader whose dataset returns batches has no samples to seed and to count"
        raise DataError(message, hint="give batch_size or batch_sampler")
    if isinstance(data.dataset, IterableDataset) and data.drop_last:
        message = "drop_last=True of an iterable dataset: a batch at the end of a pass continues with the next pass"
        raise DataError(message, hint="omit it")
    if data.pin_memory_device:
        message = f"pin_memory_device={data.pin_memory_device!r} is deprecated and torch ignores it"
        raise DataError(message, hint="omit it")
    if not data.in_order and data.num_workers:
        message = "in_order=False lets the order of batches depend on timing, so a run could not be repeated"
        raise DataError(message, hint="omit it")
    for name, parameter in inspect.signature(DataLoader.__init__).parameters.items():
        if name not in OPTIONS and name != "self" and getattr(data, name, parameter.default) != parameter.default:
            message = f"the option {name}={getattr(data, name)!r} of DataLoader is not known to distill_core"
            raise DataError(message, hint="omit it")
