"""Comparison of caches with their checksums and with the live models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

_CHUNK = 1024
"""Number of samples or tokens whose probabilities are compared at a time."""


@dataclass(frozen=True)
class CacheDifference:
    """The difference between the values of a cache and of the live model.

    Attributes:
        model, tap: The model and the tap.
        samples: Number of compared samples, over all views.
        greatest: The greatest absolute difference.
        divergence: Mean KL( live ‖ cached ) over samples or tokens. The classes that a top-k codec does not store are one
            class. None if the value is not (samples, classes) or (samples, tokens, classes), or its codec samples.
        agreement: Fraction of samples or tokens with the same most probable class; None in the same cases.
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
            sums: dict[str, _Sums] = {}
            for view in views:
                _compare(source, view, samples, loader, trainer, sums)
            differences += [each.difference(source.name, tap or "(output)") for tap, each in sums.items()]
    if not differences:
        message = "there is no complete view to verify"
        raise WiringError(message, hint="'distill cache build' creates them")
    return differences


@dataclass
class _Sums:
    """Sums over the compared batches of a tap."""

    samples: int = 0
    greatest: float = 0.0
    rows: int = 0
    divergence: float = 0.0
    agreement: float = 0.0

    def add(self, read: Any, compared: Any, live: Any) -> None:
        """Add the values of a batch: those of the cache, and the live ones as its codec decodes them and as they are."""
        for one, other in zip(tensors(read), tensors(compared), strict=True):
            if one.numel():
                self.greatest = max(self.greatest, float(_distance(one.double(), other.double()).max()))
        ours, theirs = _logits(read), _logits(live)
        if ours is None or not isinstance(theirs, Tensor) or theirs.dim() not in (2, 3):
            return
        for cached, exact in zip(_rows(ours), torch.split(theirs.flatten(0, -2), _CHUNK), strict=True):
            divergence, agreement = _divergence(cached, exact.double().log_softmax(-1))
            self.rows += len(exact)
            self.divergence += divergence
            self.agreement += agreement

    def difference(self, model: str, tap: str) -> CacheDifference:
        """Return the means."""
        means = (self.divergence / self.rows, self.agreement / self.rows) if self.rows else (None, None)
        return CacheDifference(model, tap, self.samples, self.greatest, *means)


def _compare(
    source: CachedSource, view: int, samples: int, loader: Loader, trainer: Trainer, sums: dict[str, _Sums]
) -> None:
    """Compare the cache with the model for samples spread over the data, one batch at a time."""
    spread = torch.linspace(0, num_rows(loader) - 1, min(samples, num_rows(loader))).round().long()
    plan, pieces = plan_of_rows(loader, SeedPath(trainer.experiment.seed, 0, view), spread)
    count = min(len(pieces), -(-samples // loader.batch_size))  # mixed batches are always complete
    for rows, batch in zip(pieces[:count], view_batches(plan.pick(range(count)), view, loader, trainer), strict=True):
        read = source.read(view, rows, batch)
        source.verify_inputs()
        for tap, live in zip(source.live.taps, source.live.run(batch, {}), strict=True):
            total = sums.setdefault(tap.address, _Sums())
            total.samples += len(rows)
            total.add(read[tap.address], source.compared(tap.address, live, view, rows), live)


def _logits(value: Any) -> Tensor | Mapping[str, Tensor] | None:
    """Return the logits of a value, a tensor or the fields of a top-k codec, None if it has none or several tensors."""
    if isinstance(value, Mapping):
        if {"log_probs", "index"} <= value.keys():
            return value
        return _logits(value["logits"]) if "logits" in value else None
    found = tensors(value)
    return found[0] if len(found) == 1 and found[0].is_floating_point() else None


def _rows(cached: Tensor | Mapping[str, Tensor]) -> Iterator[Tensor | dict[str, Tensor]]:
    """Yield the samples or tokens of a cached value, some at a time."""
    if isinstance(cached, Tensor):
        yield from torch.split(cached.flatten(0, -2), _CHUNK)
        return
    parts = {name: torch.split(part.flatten(0, -2), _CHUNK) for name, part in cached.items()}
    yield from (dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True))


def _divergence(cached: Tensor | dict[str, Tensor], exact: Tensor) -> tuple[float, float]:
    """Return the sums of KL( exact ‖ cached ) and of agreements, for log-probabilities (rows, classes)."""
    best = exact.argmax(-1)
    if isinstance(cached, Tensor):
        ours = cached.double().log_softmax(-1)
        chosen = ours.argmax(-1)
    else:
        stored, index = cached["log_probs"].double(), cached["index"]
        chosen = index.gather(-1, stored.argmax(-1, keepdim=True)).squeeze(-1)
        ours, exact = _with_tail(stored), _with_tail(exact.gather(-1, index))
    return max(0.0, float(kl_divergence(exact, ours).sum())), float((chosen == best).sum())


def _with_tail(log_probs: Tensor) -> Tensor:
    """Append the log-probability of all other classes, at least 1e-12, and normalise away the rounding of the codec."""
    rest = 1 - log_probs.exp().sum(-1, keepdim=True)
    return torch.cat([log_probs, rest.clamp(min=1e-12).log()], dim=-1).log_softmax(-1)


def _distance(read: Tensor, live: Tensor) -> Tensor:
    """Return the absolute difference of values; 0 where both are −∞."""
    return torch.where(read == live, 0, (read - live).abs())
