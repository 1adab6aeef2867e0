"""The key of a cache: everything that its content depends on."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from ...cache import Key, describe, hash_tensors, source_of
from ...data import BatchPlan, Loader, SeedPath, TensorData, preserve_rng_state
from ...distributed import world_size
from ...experiment import Experiment
from ._cached_source import CachedSource
from ._view_plan import is_mixed

_ITEMS = 16  # samples of a data set that are read and hashed if its tensors are not available


def key_of(source: CachedSource, loader: Loader, experiment: Experiment, views: int) -> Key:
    """Return the key of a model's values on these data.

    Args:
        source: The frozen model with its taps and its feed.
        loader: The data.
        experiment: Seed and precision are taken from it.
        views: The number of views.
    """
    model = source.model
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    whole = {name: getattr(tensor, "full_tensor", lambda tensor=tensor: tensor)() for name, tensor in tensors.items()}
    data, transform = data_parts(loader, experiment.seed)
    if is_mixed(loader):
        transform = describe([transform, loader.mix, loader.repeats, loader.batch_size, world_size()])
    feed = {name: str(taps) for name, taps in source.feed.inputs.items()} if source.feed else "batch.input"
    return Key(
        {
            "weights": hash_tensors(whole.items()),
            "model": module_text(model),
            "feed": json.dumps(feed, sort_keys=True),
            "taps": json.dumps(sorted(_cut_address(tap.address, source) for tap in source.live.taps)),
            "data": data,
            "transform": transform,
            "seed": str(experiment.seed),
            "views": str(views),
            "codec": source.codec,
            "dtype": f"{source.settings.precision or experiment.precision} "
            f"{sorted({str(tensor.dtype) for tensor in model.state_dict().values()})}"
            + (f" compiled: {source.settings.compile}" if source.settings.compile else ""),
        }
    )


def _cut_address(address: str, source: CachedSource) -> str:
    """Return the address of a value, with the number of entries of its last dimension if that is limited."""
    return f"{address}[:{source.limits[address]}]" if address in source.limits else address


def module_text(model: nn.Module) -> str:
    """Return a hash of the model's structure and the source of its classes."""
    classes = {f"{type(part).__module__}.{type(part).__qualname__}": source_of(type(part)) for part in model.modules()}
    return describe([repr(model), sorted(classes.items())])


def data_parts(loader: Loader, seed: int) -> tuple[str, str]:
    """Return hashes of a loader's samples and of their transforms."""
    data = loader.dataset
    if isinstance(data, TensorData):
        return hash_tensors(data.tensors.items()), describe([data.augment, data.views])
    spread = torch.linspace(0, len(data) - 1, min(_ITEMS, len(data))).round().long()
    with preserve_rng_state():
        plan = BatchPlan([index.view(1) for index in spread], [1] * len(spread))
        reader = Loader(data, 1, collate=_first, fields=loader.fields)
        items: list[Any] = list(reader.batches(SeedPath(seed, 0, 0), plan=plan))
    kind = f"{type(data).__module__}.{type(data).__qualname__}"
    return describe([kind, len(data), items]), describe([data, loader.collate, loader.fields])


def _first(samples: list[Any]) -> Any:
    return samples[0]
