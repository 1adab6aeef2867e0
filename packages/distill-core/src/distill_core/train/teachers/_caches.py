"""The caches of a run: opened at each stage, filled and sealed view by view."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ...cache import Cache
from ...data import BatchPlan, Loader, SeedPath
from ...distributed import rank, sum_over_processes
from ...errors import TrainingError, WiringError, did_you_mean
from ...experiment import Experiment, Term
from ...taps import BATCH
from ...wiring import Wiring
from .._lock import FolderLock
from .._state import RunState
from ._cache_key import key_of, stored_key
from ._cached_model import CachedModel, refuse_uses
from ._cached_source import CachedSource, ViewRows
from ._own_input import check_own_tokens
from ._pad_batch import PadBatch
from ._refuse_codec import refuse_codec
from ._source import ModelSource
from ._tap_codecs import TapCodecs
from ._view_plan import num_rows, plan_of_rows, plan_of_view

FLUSH_EVERY = 10.0
"""Seconds between two flushes while a view is completed; a kill loses at most this."""

logger = logging.getLogger("distill")


@dataclass(frozen=True)
class CacheInputs:
    """What caches need to compute the values of a stage.

    Attributes:
        loader: The loader of the stage.
        device: Device of this process.
        prepare: Moves a batch to the device, as a training step does.
        autocast: Returns the context of the run's mixed precision.
        wait: Waits for all processes.
    """

    loader: Loader
    device: torch.device
    prepare: Callable[[dict[str, Any]], dict[str, Any]]
    autocast: Callable[[], contextlib.AbstractContextManager[Any]]
    wait: Callable[[], None]


class Caches:
    """Opens the caches of each stage, and completes a view at the end of the epoch that built it.

    Args:
        experiment: The experiment.

    Attributes:
        views: Number of views of each sample; None if every epoch has its own.
        sources: The cached models of the current stage.

    Raises:
        WiringError: A cached model does not exist or is an EMA copy, or the numbers of views differ.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.settings = dict(experiment.cache)
        self.source_settings = dict(experiment.sources)
        self.codecs = {name: TapCodecs(name, entry.codec) for name, entry in self.settings.items()}
        self.views = _views(experiment)
        self.sources: list[CachedSource] = []
        self._locks: list[FolderLock] = []
        self._rows: Sequence[torch.Tensor] = []
        self._inputs: CacheInputs | None = None
        self._state: RunState | None = None
        self._batch: int | None = None
        for key, names in (("cache", [*self.settings]), ("sources", [*self.source_settings])):
            for name in names:
                if name not in experiment.models:
                    message = f"there is no model '{name}'"
                    raise WiringError(message, key=key, hint=did_you_mean(name, experiment.models))
        refuse_uses(experiment)

    def seed_path(self, seed_path: SeedPath) -> SeedPath:
        """Return the seed path of an epoch's augmentation: the same for all epochs that show the same view."""
        return seed_path if self.views is None else replace(seed_path, stage=0, epoch=seed_path.epoch % self.views)

    def plan(self, loader: Loader, seed_path: SeedPath) -> BatchPlan:
        """Return the batches of this process in an epoch."""
        if self.views is None:
            return loader.plan(seed_path, even=True)
        plan, self._rows = plan_of_view(loader, self.seed_path(seed_path), seed_path)
        return plan

    def prepare(self, terms: Mapping[str, Term]) -> None:
        """Refuse losses that need what a codec cannot give; called before a stage is built.

        Raises:
            WiringError: A loss does; the message names a codec that works.
        """
        self.sources = []
        for name, term in terms.items():
            taps = Wiring(term.inputs, f"losses.{name}").taps
            for model, codecs in self.codecs.items():
                by_tap = {tap: codecs.of(tap) for tap in taps if tap.source == model and tap.port != "module"}
                for codec in dict.fromkeys(by_tap.values()):
                    fields = {str(tap): tap.fields[-1:] for tap, its in by_tap.items() if its == codec}
                    refuse_codec(name, term, model, codec, fields)

    def wrap(self, source: ModelSource, loader: Loader | None = None) -> ModelSource:
        """Return a source as the stage uses it.

        Args:
            source: Any model of a step.
            loader: The loader of the stage, if known.

        Raises:
            WiringError: It is to be cached, but depends on more than the batch; or it is not built, and no complete cache
                holds its values.
        """
        if not source.frozen:
            return source
        if loader is not None and loader.batch_sampler is None:  # otherwise the size of a batch is not fixed
            source.padding = PadBatch(loader.batch_size)
        source.settings = self.source_settings.get(source.name, source.settings)
        check_own_tokens(source)
        if source.name not in self.settings:
            return source
        if source.feed is not None and any(tap.source != BATCH for tap in source.feed.taps):
            message = "it is fed by another model, but a cache holds what follows from a sample alone"
            raise WiringError(message, key=f"cache.{source.name}")
        if isinstance(source.model, CachedModel) and any(tap.port == "module" for tap in source.taps):
            message = "a loss takes one of its modules, but the model is not built"
            raise WiringError(message, key=f"cache.{source.name}", hint="set build_model: true")
        cached = CachedSource(source, self.codecs[source.name], compiles=bool(self.experiment.compile))
        self.sources.append(cached)
        if isinstance(source.model, CachedModel) and loader is not None:
            self._open_complete(cached, loader)
        return cached

    def open(self, inputs: CacheInputs, state: RunState | None = None) -> None:
        """Open the caches of the stage.

        Args:
            inputs: What the caches need to compute values.
            state: The state of the run, from which the row of a batch follows; None outside of training.
        """
        self._inputs, self._state = inputs, state
        for source in self.sources:
            self._open(source, inputs)

    def complete(self, source: CachedSource, view: int) -> None:
        """Compute what is missing of a view, then seal it. A collective operation."""
        cache, inputs = source.cache, self._inputs
        if cache is None or inputs is None or not source.writes or cache.is_complete(view):
            return
        source.flush()
        inputs.wait()
        missing = cache.missing(view)
        inputs.wait()
        if len(missing):
            self._fill(source, view, missing, inputs)
            source.flush()
            inputs.wait()
        if rank() == 0 and not cache.seal(view):
            message = f"rows of view {view} were not written"
            raise TrainingError(message, key=f"cache.{source.name}")
        inputs.wait()
        source.forget(view)

    def complete_epoch(self, epoch: int) -> None:
        """Complete the view of an epoch (from 1) in every cache of the stage."""
        for source in self.sources:
            self.complete(source, (epoch - 1) % (self.views or 1))

    @contextlib.contextmanager
    def at_batch(self, index: int) -> Iterator[None]:
        """Read and store the rows of another batch than the current one: the batch with this index."""
        self._batch = index
        try:
            yield
        finally:
            self._batch = None

    def verify_inputs(self) -> None:
        """Raise if a batch was not the input from which a cache was built; called where numbers reach the host."""
        for source in self.sources:
            source.verify_inputs()

    def flush(self) -> None:
        """Write stored values to disk; called before a checkpoint relies on them."""
        for source in self.sources:
            source.flush()

    def end(self) -> None:
        """Let other runs write; called at the end of a stage, also after an error."""
        self.flush()
        for lock in self._locks:
            lock.release()
        self._locks, self.sources = [], []

    def _fill(self, source: CachedSource, view: int, missing: torch.Tensor, inputs: CacheInputs) -> None:
        seed_path, flushed = SeedPath(self.experiment.seed, 0, view), time.monotonic()
        plan, pieces = plan_of_rows(inputs.loader, seed_path, missing)
        with torch.no_grad(), inputs.autocast():
            for rows, batch in zip(pieces, inputs.loader.batches(seed_path, plan=plan), strict=True):
                source.store(view, rows, inputs.prepare(batch))
                if time.monotonic() - flushed > FLUSH_EVERY:
                    source.flush()
                    flushed = time.monotonic()

    def _open(self, source: CachedSource, inputs: CacheInputs) -> None:
        settings, views = self.settings[source.name], self.views or 1
        if isinstance(source.model, CachedModel):
            if rank() == 0 and source.cache is not None:
                logger.info("%s; the model is not built", _describe(source, source.cache, views))
            return
        if any(module.training for module in source.model.modules()):
            message = "the output of a model in training mode does not follow from a sample alone"
            raise WiringError(message, key=f"cache.{source.name}")
        key = key_of(source, inputs.loader, self.experiment, views)
        cache = Cache(Path(settings.folder).expanduser(), source.name, key, num_rows(inputs.loader), views)
        complete = [view for view in range(views) if cache.is_complete(view)]
        writes = self._may_write(cache, inputs.device) and len(complete) < views
        source.open(cache, self._rows_at, writes=writes)
        if rank() == 0:
            logger.info(_describe(source, cache, len(complete)))

    def _open_complete(self, source: CachedSource, loader: Loader) -> None:
        """Open the cache of a model that is not built."""
        folder, views = Path(self.settings[source.name].folder).expanduser(), self.views or 1
        key = stored_key(folder, source, loader, self.experiment, views)
        cache = Cache(folder, source.name, key, num_rows(loader), views)
        if missing := [view for view in range(views) if not cache.is_complete(view)]:
            where = f"view {missing[0] + 1} of {views} is not complete in {cache.folder}"
            message = f"'{source.name}' is not built, and {where}"
            hint = "complete it where the model is: distill cache build FILE"
            raise WiringError(message, key=f"cache.{source.name}", hint=hint)
        source.open(cache, self._rows_at, writes=False)

    def _rows_at(self, ahead: int) -> ViewRows | None:
        """Return the view and the rows of the current batch, or of one ahead of it; None outside of an epoch."""
        state = self._state
        if state is None or state.epoch == 0 or self.views is None:
            return None
        batch = (state.batch if self._batch is None else self._batch) + ahead
        return ((state.epoch - 1) % self.views, self._rows[batch]) if batch < len(self._rows) else None

    def _may_write(self, cache: Cache, device: torch.device) -> bool:
        """Return whether this run adds to the cache; one run at a time does."""
        is_mine = 0.0
        if rank() == 0:
            lock = FolderLock(cache.folder)
            try:
                lock.acquire()
                self._locks.append(lock)
                is_mine = 1.0
            except TrainingError as error:
                logger.info("%s; missing values are computed and not stored", error.message)
        return bool(sum_over_processes(torch.tensor(is_mine, device=device)))


def _views(experiment: Experiment) -> int | None:
    """Return the number of views that the experiment sets.

    Raises:
        WiringError: Two settings differ, or a cache is set without views.
    """
    given = {f"cache.{name}.views": entry.views for name, entry in experiment.cache.items()}
    given["views"] = experiment.views
    values_set = {key: views for key, views in given.items() if views is not None}
    if len(set(values_set.values())) > 1:
        message = "all models of a run see the same views: " + ", ".join(f"{key}: {n}" for key, n in values_set.items())
        raise WiringError(message)
    if experiment.cache and not values_set:
        message = "cache: the number of views of each sample is not set"
        hint = "set `views`: 1 without augmentation, otherwise the number of epochs after which augmentations repeat"
        raise WiringError(message, hint=hint)
    return next(iter(values_set.values()), None)


def _describe(source: CachedSource, cache: Cache, num_complete: int) -> str:
    names = {codec.name for codec in source.stored.values()}
    each = [f"{codec.name} ({address or 'output'})" for address, codec in source.stored.items()]
    codecs = ", ".join(names if len(names) == 1 else each)
    text = f"cache.{source.name}: {codecs} in {cache.folder}, {num_complete} of {cache.views} views are complete"
    if not num_complete and cache.relatives:
        nearest, differences = next(iter(cache.relatives.items()))
        text += f"; {nearest} is not used: its {' and '.join(differences)} differ"
    return text
