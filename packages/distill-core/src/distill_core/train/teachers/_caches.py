"""The caches of a run: which models have one, when it is opened, filled up and sealed; and whose turn each view is."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...cache import NAMES, SPARSE, Cache, Codec, codec_named
from ...data import BatchPlan, Loader, SeedPath
from ...distributed import sum_over_processes
from ...errors import TrainingError, WiringError, did_you_mean
from ...experiment import Experiment, Term
from ...taps import BATCH
from ...wiring import Wiring
from .._lock import FolderLock
from ..callbacks import Callback
from ._cache_key import key_of
from ._cached_source import CachedSource, ViewRows
from ._pad_batch import WholeBatches
from ._source import ModelSource
from ._tap_codecs import TapCodecs
from ._view_plan import num_rows, plan_of_rows, plan_of_view

if TYPE_CHECKING:
    from .._trainer import Trainer

FLUSH_EVERY = 10.0
"""Seconds of work that a kill may cost while a view is being completed."""

logger = logging.getLogger("distill")


class Caches(Callback):
    """Opens the caches of each stage, and completes a view at the end of the epoch that built it.

    Args:
        experiment: What is run.

    Attributes:
        views: How many views of each sample there are; None if each epoch has its own.
        sources: The cached models of the stage at hand.

    Raises:
        WiringError: A cached model does not exist or is an average; the numbers of views contradict each other.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.settings = dict(experiment.cache)
        self.how = dict(experiment.sources)
        self.codecs = {name: TapCodecs(name, entry.codec) for name, entry in self.settings.items()}
        self.views = _views(experiment)
        self.sources: list[CachedSource] = []
        self._locks: list[FolderLock] = []
        self._rows: Sequence[torch.Tensor] = []
        self._trainer: Trainer | None = None
        for key, named in (("cache", [*self.settings]), ("sources", [*self.how])):
            for name in named:
                if name not in experiment.models:
                    message = f"{key}: there is no model '{name}'\n  hint: {did_you_mean(name, experiment.models)}"
                    raise WiringError(message)

    def seed_path(self, seed_path: SeedPath) -> SeedPath:
        """Where the augmentation of an epoch comes from: the same for all epochs that show the same view."""
        return seed_path if self.views is None else replace(seed_path, stage=0, epoch=seed_path.epoch % self.views)

    def plan(self, loader: Loader, seed_path: SeedPath) -> BatchPlan:
        """The batches of this process in an epoch."""
        if self.views is None:
            return loader.plan(seed_path, even=True)
        plan, self._rows = plan_of_view(loader, self.seed_path(seed_path), seed_path)
        return plan

    def prepare(self, terms: Mapping[str, Term]) -> None:
        """Before a stage is made: refuse losses that take what a codec cannot give.

        Raises:
            WiringError: A loss does; the message names the codec that can.
        """
        self.sources = []
        for name, term in terms.items():
            taps = Wiring(term.inputs, f"losses.{name}").taps
            for model, codecs in self.codecs.items():
                own = {tap: codecs.of(tap) for tap in taps if tap.source == model and tap.port != "module"}
                for codec in dict.fromkeys(own.values()):
                    fields = {str(tap): tap.fields[-1:] for tap, its in own.items() if its == codec}
                    refuse = _refuse_dense if codec.gives else _refuse_sparse
                    refuse(name, term, model, codec, fields)

    def wrap(self, source: ModelSource, size: int | None = None) -> ModelSource:
        """A source as the stage uses it.

        Args:
            source: Any model of a step.
            size: Samples in a whole batch of this process, if known.

        Raises:
            WiringError: It is to be cached, and depends on more than the batch.
        """
        if not source.frozen:
            return source
        if size is not None:
            source.whole = WholeBatches(size)
        source.settings = self.how.get(source.name, source.settings)
        if source.name not in self.settings:
            return source
        if source.feed is not None and any(tap.source != BATCH for tap in source.feed.taps):
            message = (
                f"cache.{source.name}: it is fed by another model, and a cache holds what follows from a sample alone"
            )
            raise WiringError(message)
        cached = CachedSource(source, self.codecs[source.name])
        self.sources.append(cached)
        return cached

    def on_stage_start(self, trainer: Trainer) -> None:
        """Open the caches of the stage."""
        self._trainer = trainer
        for source in self.sources:
            self._open(source, trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Complete the view of this epoch."""
        for source in self.sources:
            self.complete(source, (trainer.epoch - 1) % (self.views or 1), trainer)

    def flush(self) -> None:
        """Make last what was stored; before a checkpoint says that it was."""
        for source in self.sources:
            source.flush()

    def end(self) -> None:
        """At the end of a stage, however it ends: let others write."""
        self.flush()
        for lock in self._locks:
            lock.release()
        self._locks, self.sources = [], []

    def complete(self, source: CachedSource, view: int, trainer: Trainer) -> None:
        """Compute what is still missing of a view, then seal it. All processes do so together."""
        cache = source.cache
        if cache is None or not source.writes or cache.is_complete(view):
            return
        source.flush()
        trainer.accelerator.wait_for_everyone()
        missing = cache.missing(view)
        trainer.accelerator.wait_for_everyone()
        if len(missing):
            self._fill(source, view, missing, trainer)
            source.flush()
            trainer.accelerator.wait_for_everyone()
        if trainer.is_main and not cache.seal(view):
            message = f"cache.{source.name}: rows of view {view} were not written"
            raise TrainingError(message)
        trainer.accelerator.wait_for_everyone()
        source.forget(view)

    def _fill(self, source: CachedSource, view: int, missing: torch.Tensor, trainer: Trainer) -> None:
        loader: Loader = trainer.run.loader  # type: ignore[union-attr]
        seed_path, flushed = SeedPath(trainer.experiment.seed, 0, view), time.monotonic()
        plan, pieces = plan_of_rows(loader, seed_path, missing)
        with torch.no_grad(), trainer.accelerator.autocast():
            for rows, batch in zip(pieces, loader.batches(seed_path, plan=plan), strict=True):
                source.store(view, rows, trainer.moved(batch))
                if time.monotonic() - flushed > FLUSH_EVERY:
                    source.flush()
                    flushed = time.monotonic()

    def _open(self, source: CachedSource, trainer: Trainer) -> None:
        settings, views = self.settings[source.name], self.views or 1
        if any(module.training for module in source.model.modules()):
            message = f"cache.{source.name}: what a model in training mode gives does not follow from a sample alone"
            raise WiringError(message)
        loader: Loader = trainer.run.loader  # type: ignore[union-attr]
        key = key_of(source, loader, trainer.experiment, views)
        cache = Cache(Path(settings.folder).expanduser(), source.name, key, num_rows(loader), views)
        whole = [view for view in range(views) if cache.is_complete(view)]
        source.open(cache, self._moment, writes=self._may_write(cache, trainer) and len(whole) < views)
        if trainer.is_main:
            logger.info(_told(source, cache, len(whole)))

    def _moment(self) -> ViewRows | None:
        """The view and the rows of the batch that the trainer is at."""
        trainer = self._trainer
        if trainer is None or trainer.epoch == 0 or self.views is None:
            return None
        return (trainer.epoch - 1) % self.views, self._rows[trainer.batch]

    def _may_write(self, cache: Cache, trainer: Trainer) -> bool:
        """Whether this run is the one that adds to the cache; one run at a time does."""
        mine = 0.0
        if trainer.is_main:
            lock = FolderLock(cache.folder)
            try:
                lock.acquire()
                self._locks.append(lock)
                mine = 1.0
            except TrainingError as error:
                logger.info("%s; what is missing in it is computed and not stored", str(error).partition("\n")[0])
        return bool(sum_over_processes(torch.tensor(mine, device=trainer.device)))


def _views(experiment: Experiment) -> int | None:
    """How many views the experiment asks for.

    Raises:
        WiringError: Two places disagree, or a cache is asked for and none says.
    """
    given = {f"cache.{name}.views": entry.views for name, entry in experiment.cache.items()}
    given["views"] = experiment.views
    said = {key: views for key, views in given.items() if views is not None}
    if len(set(said.values())) > 1:
        message = "all models of a run see the same views: " + ", ".join(f"{key}: {n}" for key, n in said.items())
        raise WiringError(message)
    if experiment.cache and not said:
        message = (
            "cache: how many views of each sample are there?\n"
            "  hint: give `views`: 1 if nothing is augmented, otherwise after how many epochs the augmentations come again"
        )
        raise WiringError(message)
    return next(iter(said.values()), None)


def _refuse_dense(name: str, term: Term, model: str, codec: Codec, fields: Mapping[str, Any]) -> None:
    """A sparse codec gives its fields and nothing else."""
    for tap, last in fields.items():
        if not last or last[0] not in codec.gives:
            given = " and ".join(f"'{model}:out.{field}'" for field in codec.gives)
            able = [other for other in NAMES if last and last[0] in codec_named(other).gives]
            hint = f"'{able[0]}' gives '{last[0]}'" if able else "float32, float16, bfloat16 or int8 give it"
            message = (
                f"losses.{name}: {_kind(term)} takes '{tap}', and the codec '{codec.name}' of cache.{model} gives {given}"
                f"\n  hint: {hint}"
            )
            raise WiringError(message)


def _refuse_sparse(name: str, term: Term, model: str, codec: Codec, fields: Mapping[str, Any]) -> None:
    """A dense codec gives no indices of a few classes."""
    last = {field[0] for field in fields.values() if field and field[0] in SPARSE}
    able = [other for other in NAMES if len(last) > 1 and last == set(codec_named(other).gives)]
    if able:
        message = (
            f"losses.{name}: {_kind(term)} takes {' and '.join(map(repr, fields))}, and the codec '{codec.name}' of "
            f"cache.{model} gives the whole tensor\n  hint: '{able[0]}' gives them"
        )
        raise WiringError(message)


def _kind(term: Term) -> str:
    return getattr(term.loss, "__name__", type(term.loss).__name__)


def _told(source: CachedSource, cache: Cache, whole: int) -> str:
    names = {codec.name for codec in source.stored.values()}
    each = [f"{codec.name} ({address or 'output'})" for address, codec in source.stored.items()]
    codecs = ", ".join(names if len(names) == 1 else each)
    text = f"cache.{source.name}: {codecs} in {cache.folder}, {whole} of {cache.views} views are there"
    if not whole and cache.relatives:
        nearest, parts = next(iter(cache.relatives.items()))
        text += f"; {nearest} is not used, because of another {' and '.join(parts)}"
    return text
