"""The cost of a cache, measured on a few batches."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..cache import NAMES, Codec, Format, Shard, codec_named
from ..data import BatchPlan, Loader
from ..train.teachers import CachedSource, num_rows
from ..tree import tensors
from ._cached_stages import cached_stages, view_batches

if TYPE_CHECKING:
    from ..train import Trainer


@dataclass(frozen=True)
class CacheCost:
    """The cost of one model's cache with one codec.

    Attributes:
        model, codec: The model and the codec.
        gigabytes: Size of all views.
        live, write, read: Seconds per epoch to compute the values, to encode and store them, to read and decode them.
        pays_after: The epoch after which the run is faster than without the cache; None if it never is.
    """

    model: str
    codec: str
    gigabytes: float
    live: float
    write: float
    read: float
    pays_after: int | None


def plan_caches(trainer: Trainer, batches: int = 3) -> list[CacheCost]:
    """Measure the cost of each codec on a few batches.

    Args:
        trainer: The run that would use the caches; it is not started.
        batches: Number of batches to measure.
    """
    costs = []
    for loader, sources in cached_stages(trainer, writing=False):
        for source in sources:
            costs += _costs(source, loader, trainer, batches)
    return costs


def _costs(source: CachedSource, loader: Loader, trainer: Trainer, batches: int) -> list[CacheCost]:
    """Return the cost with the configured codec, then with each codec; sparse ones only if all values are (rows, classes)."""
    pieces = torch.split(torch.arange(loader.num_samples), loader.batch_size)[:batches]
    given = list(view_batches(BatchPlan(pieces, [len(piece) for piece in pieces]), 0, loader, trainer))
    for _ in range(2):  # the first calls are slower and not part of the cost
        source.live.run(given[0], {})
    live = _seconds(lambda: [source.live.run(batch, {}) for batch in given])
    values = [{tap.address: v for tap, v in zip(source.live.taps, source.live.run(b, {}), strict=True)} for b in given]
    others = {name: dict.fromkeys(source.stored, codec_named(name)) for name in NAMES if name != source.codec}
    if any(tensor.dim() != 2 for tensor in tensors(values[0])):
        others = {name: codecs for name, codecs in others.items() if not codec_named(name).gives}
    return [
        _cost(source.name, name, num_rows(loader), trainer.caches.views or 1, live, pieces, values, codecs)
        for name, codecs in {source.codec: source.stored, **others}.items()
    ]


def _cost(
    model: str,
    name: str,
    samples: int,
    views: int,
    live: float,
    pieces: Sequence[Tensor],
    values: Sequence[Mapping[str, Any]],
    codecs: Mapping[str, Codec],
) -> CacheCost:
    form = Format.of(values[0], len(pieces[0]), codecs)
    first = form.encode(values[0], pieces[0])
    size = (
        sum(part[0].numel() * part.element_size() for part in first.values()) + 8
    )  # 8 bytes for the hash of the input
    rows = sum(len(piece) for piece in pieces)
    with tempfile.TemporaryDirectory() as folder:
        shard = Shard.create(Path(folder) / "rows.safetensors", first, rows, {})

        def write_all() -> None:
            for piece, value in zip(pieces, values, strict=True):
                shard.write(piece, form.encode(value, piece))

        write_all()  # the first write of a file is slower and not part of the cost
        write = _seconds(write_all)
        read = _seconds(lambda: [form.decode(shard.read(piece)) for piece in pieces])
    epoch = samples / rows
    live, write, read = live * epoch, write * epoch, read * epoch
    pays = math.floor(views * (live + write - read) / (live - read)) + 1 if live > read else None
    return CacheCost(model, name, size * samples * views / 1e9, live, write, read, pays)


def _seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the least time of several runs, which other work of the machine affects least."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        with contextlib.suppress(RuntimeError):
            torch.accelerator.synchronize()
        durations.append(time.perf_counter() - start)
    return min(durations)
