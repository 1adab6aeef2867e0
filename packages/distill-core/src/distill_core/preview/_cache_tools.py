"""Caches without training: build them, compare them with the live model, and tell what they would cost."""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..cache import NAMES, Codec, Format, Shard, codec_named
from ..data import BatchPlan, Loader, SeedPath
from ..errors import WiringError
from ..layers import kl_divergence
from ..train import first_batch, prepare_stage
from ..train.teachers import CachedSource, num_rows, place_models, plan_of_rows
from ..tree import tensors

if TYPE_CHECKING:
    from ..train import Trainer


@dataclass(frozen=True)
class Difference:
    """How far what a cache gives is from what the model gives.

    Attributes:
        model, tap: Whose values.
        samples: How many were compared, over all views.
        greatest: The greatest absolute difference of a number.
        divergence: Mean KL divergence of softmax over the last dimension, where the value is (samples, classes).
        agreement: Share of samples with the same greatest class, there.
    """

    model: str
    tap: str
    samples: int
    greatest: float
    divergence: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a cache would cost with a codec.

    Attributes:
        model, codec: Of which model, how stored.
        gigabytes: For all views.
        live, write, read: Seconds for an epoch: to compute, to encode and store, to read and decode.
        pays_after: The first epoch after which the run is faster than without the cache; None for never.
    """

    model: str
    codec: str
    gigabytes: float
    live: float
    write: float
    read: float
    pays_after: int | None


def build_caches(trainer: Trainer, report: Callable[[str], None]) -> None:
    """Compute and store all views of all cached models, stage by stage.

    A model that learns in one stage and is frozen in a later one is left to the run itself.

    Args:
        trainer: The run that will read the caches; it is not started.
        report: Called with a sentence for each view.
    """
    caches = trainer.caches
    for _, sources in _stages(trainer):
        for source in sources:
            for view in range(caches.views or 1):
                caches.complete(source, view)
                report(f"{source.name}: view {view + 1} of {caches.views} is in {source.cache.path(view)}")  # type: ignore[union-attr]


def verify_caches(trainer: Trainer, samples: int) -> list[Difference]:
    """Compare every complete view with its SHA-256, and some of its samples with the live model.

    Args:
        trainer: The run that reads the caches; it is not started.
        samples: Number of samples of each view to compare.

    Raises:
        DataError: A file is not what was written.
        WiringError: There is nothing to verify.
    """
    differences: list[Difference] = []
    for loader, sources in _stages(trainer):
        for source in sources:
            views = source.cache.verify()  # type: ignore[union-attr]
            pairs = [_values(source, view, samples, loader, trainer) for view in views]
            differences += [
                _difference(source.name, tap, [(read[tap], live[tap]) for read, live in pairs])
                for tap in (pairs[0][0] if pairs else ())
            ]
    if not differences:
        message = "there is no complete view to verify"
        raise WiringError(message, hint="'distill cache build' creates them")
    return differences


def plan_caches(trainer: Trainer, batches: int = 3) -> list[Cost]:
    """Measure on a few batches what each codec would cost."""
    costs = []
    for loader, sources in _stages(trainer, writing=False):
        for source in sources:
            costs += _costs(source, loader, trainer, batches)
    return costs


def _stages(trainer: Trainer, *, writing: bool = True) -> Iterator[tuple[Loader, list[CachedSource]]]:
    """Yield the loader and the cached models of each stage, opened if `writing`."""
    learnt: set[str] = set()
    place_models(trainer.models, trainer.experiment, trainer.stages, trainer.device)
    for index, stage in enumerate(trainer.stages):
        loader, start = stage.loader(trainer.experiment), SeedPath(trainer.experiment.seed, index)
        batch = functools.partial(_first_batch, trainer, loader, start)
        run = prepare_stage(
            trainer.models,
            stage,
            index,
            loader,
            batch,
            trainer.device,
            trainer.ema.names,
            trainer.caches,
            seed=start.seed,
        )
        try:
            if writing:
                trainer.caches.open(trainer.cache_inputs(loader))
            with torch.no_grad(), trainer.autocast():
                yield loader, [source for source in trainer.caches.sources if source.name not in learnt]
            learnt |= {name.split(".")[0] for name in run.trainable}
        finally:
            run.end()
            trainer.caches.end()


def _first_batch(trainer: Trainer, loader: Loader, start: SeedPath) -> dict[str, Any]:
    return trainer.moved(first_batch(loader, start))


def _batches(plan: BatchPlan, view: int, loader: Loader, trainer: Trainer) -> Iterator[dict[str, Any]]:
    seed_path = trainer.caches.seed_path(SeedPath(trainer.experiment.seed, 0, view))
    for batch in loader.batches(seed_path, plan=plan):
        yield trainer.moved(batch)


def _values(
    source: CachedSource, view: int, samples: int, loader: Loader, trainer: Trainer
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of the cache and of the model, for samples spread over the data."""
    spread = torch.linspace(0, num_rows(loader) - 1, min(samples, num_rows(loader))).round().long()
    plan, pieces = plan_of_rows(loader, SeedPath(trainer.experiment.seed, 0, view), spread)
    count = min(len(pieces), -(-samples // loader.batch_size))  # mixed batches are complete ones
    read: dict[str, list[Any]] = {}
    live: dict[str, list[Any]] = {}
    for rows, batch in zip(pieces[:count], _batches(plan.pick(range(count)), view, loader, trainer), strict=True):
        for name, value in source.read(view, rows, batch).items():
            read.setdefault(name, []).append(value)
        for tap, value in zip(source.live.taps, source.live.run(batch, {}), strict=True):
            live.setdefault(tap.address, []).append(source.compared(tap.address, value, view, rows))
    return read, live


def _difference(model: str, tap: str, pairs: list[tuple[list[Any], list[Any]]]) -> Difference:
    read = [tensor for one, _ in pairs for tensor in tensors(one)]
    live = [tensor for _, one in pairs for tensor in tensors(one)]
    apart = [_apart(a.double(), b.double()).max() for a, b in zip(read, live, strict=True) if a.numel()]
    greatest = float(torch.stack(apart).max())
    classes = all(tensor.dim() == 2 and tensor.is_floating_point() for tensor in [*read, *live])
    name = tap or "(output)"
    if not classes or len({tensor.shape[1] for tensor in read}) != 1:
        return Difference(model, name, sum(len(value) for value in read), greatest)
    ours, theirs = torch.cat(read).double(), torch.cat(live).double()
    divergence = kl_divergence(theirs.log_softmax(1), ours.log_softmax(1)).mean()
    agreement = (ours.argmax(1) == theirs.argmax(1)).float().mean()
    return Difference(model, name, len(ours), greatest, float(divergence), float(agreement))


def _apart(read: Tensor, live: Tensor) -> Tensor:
    """How far the values are apart; 0 where both are −∞."""
    return torch.where(read == live, 0, (read - live).abs())


def _costs(source: CachedSource, loader: Loader, trainer: Trainer, batches: int) -> list[Cost]:
    """With the codec that was asked for, then with each for all taps; a few fields are kept of (rows, classes) only."""
    pieces = torch.split(torch.arange(loader.num_samples), loader.batch_size)[:batches]
    given = list(_batches(BatchPlan(pieces, [len(piece) for piece in pieces]), 0, loader, trainer))
    for _ in range(2):  # what the first calls learn is no cost of an epoch
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
) -> Cost:
    form = Format.of(values[0], len(pieces[0]), codecs)
    first = form.encode(values[0], pieces[0])
    size = sum(part[0].numel() * part.element_size() for part in first.values()) + 8  # and the hash of the input
    rows = sum(len(piece) for piece in pieces)
    with tempfile.TemporaryDirectory() as folder:
        shard = Shard.create(Path(folder) / "rows.safetensors", first, rows, {})

        def write_all() -> None:
            for piece, value in zip(pieces, values, strict=True):
                shard.write(piece, form.encode(value, piece))

        write_all()  # what the first writing of a file costs is no cost of an epoch
        write = _seconds(write_all)
        read = _seconds(lambda: [form.decode(shard.read(piece)) for piece in pieces])
    epoch = samples / rows
    live, write, read = live * epoch, write * epoch, read * epoch
    pays = math.floor(views * (live + write - read) / (live - read)) + 1 if live > read else None
    return Cost(model, name, size * samples * views / 1e9, live, write, read, pays)


def _seconds(work: Callable[[], object], times: int = 3) -> float:
    """The least of some tries: what else the machine does is no cost of a cache."""
    tries = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        with contextlib.suppress(RuntimeError):
            torch.accelerator.synchronize()
        tries.append(time.perf_counter() - start)
    return min(tries)
