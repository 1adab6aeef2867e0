"""Comparison of caches with their checksums and with the live models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..data import Loader, SeedPath
from ..errors import WiringError
from ..layers import kl_divergence
from ..train.teachers import CachedSource, num_rows, plan_of_rows
from ..tree import tensors
from ._cached_stages import cached_stages, view_batches

if TYPE_CHECKING:
    from ..train import Trainer


@dataclass(frozen=True)
class CacheDifference:
    """The difference between the values of a cache and of the live model.

    Attributes:
        model, tap: The model and the tap.
        samples: Number of compared samples, over all views.
        greatest: The greatest absolute difference.
        divergence: Mean KL divergence of softmax over classes; None if the value is not (samples, classes).
        agreement: Fraction of samples with the same most probable class; None if the value is not (samples, classes).
    """

    model: str
    tap: str
    samples: int
    greatest: float
    divergence: float | None = None
    agreement: float | None = None


def verify_caches(trainer: Trainer, samples: int) -> list[CacheDifference]:
    """Compare every complete view with its SHA-256, and some of its samples with the live model.

    Args:
        trainer: The run that reads the caches; it is not started.
        samples: Number of samples of each view to compare.

    Raises:
        DataError: A file is damaged.
        WiringError: No view is complete.
    """
    differences: list[CacheDifference] = []
    for loader, sources in cached_stages(trainer):
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


def _values(
    source: CachedSource, view: int, samples: int, loader: Loader, trainer: Trainer
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of the cache and of the model, for samples spread over the data."""
    spread = torch.linspace(0, num_rows(loader) - 1, min(samples, num_rows(loader))).round().long()
    plan, pieces = plan_of_rows(loader, SeedPath(trainer.experiment.seed, 0, view), spread)
    count = min(len(pieces), -(-samples // loader.batch_size))  # mixed batches are always complete
    read: dict[str, list[Any]] = {}
    live: dict[str, list[Any]] = {}
    for rows, batch in zip(pieces[:count], view_batches(plan.pick(range(count)), view, loader, trainer), strict=True):
        for name, value in source.read(view, rows, batch).items():
            read.setdefault(name, []).append(value)
        for tap, value in zip(source.live.taps, source.live.run(batch, {}), strict=True):
            live.setdefault(tap.address, []).append(source.compared(tap.address, value, view, rows))
    return read, live


def _difference(model: str, tap: str, pairs: list[tuple[list[Any], list[Any]]]) -> CacheDifference:
    read = [tensor for one, _ in pairs for tensor in tensors(one)]
    live = [tensor for _, one in pairs for tensor in tensors(one)]
    distances = [_distance(a.double(), b.double()).max() for a, b in zip(read, live, strict=True) if a.numel()]
    greatest = float(torch.stack(distances).max())
    classes = all(tensor.dim() == 2 and tensor.is_floating_point() for tensor in [*read, *live])
    name = tap or "(output)"
    if not classes or len({tensor.shape[1] for tensor in read}) != 1:
        return CacheDifference(model, name, sum(len(value) for value in read), greatest)
    ours, theirs = torch.cat(read).double(), torch.cat(live).double()
    divergence = kl_divergence(theirs.log_softmax(1), ours.log_softmax(1)).mean()
    agreement = (ours.argmax(1) == theirs.argmax(1)).float().mean()
    return CacheDifference(model, name, len(ours), greatest, float(divergence), float(agreement))


def _distance(read: Tensor, live: Tensor) -> Tensor:
    """Return the absolute difference of values; 0 where both are −∞."""
    return torch.where(read == live, 0, (read - live).abs())
