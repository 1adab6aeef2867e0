"""torch's DataLoader taken over with everything that was asked of it."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler

from ..errors import DataError
from ._loader import Loader
from ._reader import WorkerOptions

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
    "generator": "honoured as the sampler's, with the seed of each epoch instead of its own",
    "prefetch_factor": "honoured",
    "persistent_workers": "honoured",
    "pin_memory_device": "refused: torch ignores it",
    "in_order": "False is refused with workers: a run could not be repeated",
}
"""What becomes of each option of a DataLoader. One that is not here is refused unless it has its default."""


def as_loader(data: Any) -> Loader:
    """Return a `Loader` as it is, a `DataLoader` as a `Loader` that reads the same samples in batches of the same size.

    Its sampler or batch sampler gives each epoch's order. The generators that it draws from, its own or the global ones,
    are seeded with seed, stage and epoch, so that a run can be repeated and resumed. The options of its workers are kept.

    Raises:
        DataError: It is neither, or something that it asks for cannot be honoured.
    """
    if isinstance(data, Loader):
        return data
    if not isinstance(data, DataLoader):
        message = f"{type(data).__name__} is no loader: give a distill_core.data.Loader or a torch DataLoader"
        raise DataError(message)
    _refuse(data)
    given = {name: getattr(data, name, None) for name in OPTIONS}
    known, loader = vars(data).get("_distill_loader", (None, None))  # its workers are to survive the next call
    if known != given:
        loader = _rebuilt(data)
        vars(data)["_distill_loader"] = given, loader
    return loader  # type: ignore[no-any-return]


def _rebuilt(data: DataLoader[Any]) -> Loader:
    options = WorkerOptions(**{field.name: getattr(data, field.name) for field in fields(WorkerOptions)})
    kept: dict[str, Any] = {"num_workers": data.num_workers, "workers": options, "collate": data.collate_fn}
    batches: Any = data.batch_sampler
    if type(batches) is not BatchSampler:
        return Loader(data.dataset, batch_sampler=batches, **kept)
    order: Any = batches.sampler
    whole = _reads_all(order, data.dataset)
    return Loader(
        data.dataset,
        batches.batch_size,
        shuffle=whole and isinstance(order, RandomSampler),
        sampler=None if whole else order,
        drop_last=batches.drop_last,
        **kept,
    )


def _reads_all(sampler: Any, dataset: Any) -> bool:
    """Whether a sampler gives each sample once, in order or in any order."""
    if type(sampler) is RandomSampler:
        once = not sampler.replacement and sampler.num_samples == len(sampler.data_source)
        return once and len(sampler.data_source) == len(dataset)
    return type(sampler) is SequentialSampler and len(sampler.data_source) == len(dataset)


def _refuse(data: DataLoader[Any]) -> None:
    """Refuse what cannot be honoured.

    Raises:
        DataError: There is such an option.
    """
    kind = type(data).__name__
    if type(data).__iter__ is not DataLoader.__iter__ or type(data)._get_iterator is not DataLoader._get_iterator:  # noqa: SLF001
        message = f"{kind} iterates in a way of its own, which a Loader would not follow"
        raise DataError(
            message, hint="give a plain DataLoader, not yet prepared by another library, or a distill_core.data.Loader"
        )
    if data.batch_sampler is None and not isinstance(data.dataset, IterableDataset):
        message = "batch_size=None: a DataLoader whose data set makes the batches has no samples to seed and to count"
        raise DataError(message, hint="give batch_size or batch_sampler")
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
