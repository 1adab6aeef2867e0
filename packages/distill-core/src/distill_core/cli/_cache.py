"""`distill cache`: build a cache ahead of the run, verify one, or tell what it would cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WiringError
from ._columns import aligned
from ._load import build_experiment, load_document

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ..train import Trainer


def build_cache(file: str | os.PathLike[str], overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> None:
    """Compute and store all views of all models that the file's `cache` names.

    Raises:
        ConfigError, WiringError: The file has problems, or no `cache`.
    """
    from ..preview import build_caches

    trainer = _trainer(_experiment(file, overrides, trust))
    build_caches(trainer, lambda line: print(line) if trainer.is_main else None)


def verify_cache(
    file: str | os.PathLike[str], overrides: Sequence[str] = (), trust: Sequence[str] = (), samples: int = 256
) -> None:
    """Compare caches with their checksums and with the live models, and print how far they are apart.

    Raises:
        DataError: A file is not what was written; the message names it.
    """
    from ..preview import verify_caches

    found = verify_caches(_trainer(_experiment(file, overrides, trust)), samples)
    head = ("model", "tap", "samples", "greatest difference", "KL", "agreement")
    lines = [
        (each.model, each.tap, str(each.samples), f"{each.greatest:.3g}", _or_none(each.divergence, ".3g"),
         _or_none(each.agreement, ".2%"))
        for each in found
    ]  # fmt: skip
    print("\n".join(aligned([head, *lines])))


def plan_cache(file: str | os.PathLike[str], overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> None:
    """Print gigabytes, seconds an epoch, and after which epoch a cache has paid, for each codec."""
    from ..experiment import CacheSettings
    from ..preview import plan_caches

    experiment = build_experiment(load_document(Path(file), overrides, trust), trust)
    if not experiment.cache:
        teachers = [name for name in experiment.models if name.startswith("teacher")]
        settings = CacheSettings(folder="cache", views=experiment.views or 1)
        experiment = replace(experiment, cache=dict.fromkeys(teachers, settings))
    trainer = _trainer(experiment)
    head = ("model", "codec", "size", "live s/epoch", "write s/epoch", "read s/epoch", "pays after epoch")
    lines = [
        (cost.model, cost.codec, _size(cost.gigabytes), f"{cost.live:.2f}", f"{cost.write:.2f}", f"{cost.read:.2f}",
         str(cost.pays_after or "never"))
        for cost in plan_caches(trainer)
    ]  # fmt: skip
    print("\n".join(aligned([head, *lines])))
    print(f"for {trainer.caches.views} views of each sample, measured on three batches on {trainer.device}")


def _experiment(file: str | os.PathLike[str], overrides: Sequence[str], trust: Sequence[str]) -> Experiment:
    experiment = build_experiment(load_document(Path(file), overrides, trust), trust)
    if not experiment.cache:
        message = f"{file} names no cache\n  hint: add `cache: {{teacher: {{folder: DIR, views: 1}}}}`"
        raise WiringError(message)
    return experiment


def _trainer(experiment: Experiment) -> Trainer:
    from ..train import Trainer

    return Trainer(experiment)


def _size(gigabytes: float) -> str:
    """With a unit that suits.

    >>> _size(1.5), _size(0.0052)
    ('1.500 GB', '5.200 MB')
    """
    return f"{gigabytes:.3f} GB" if gigabytes >= 0.1 else f"{1e3 * gigabytes:.3f} MB"


def _or_none(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
