"""The key of a cache: everything that its content depends on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...cache import Key, describe, hash_tensors, source_of, stored_keys
from ...data import BatchPlan, Loader, SeedPath, TensorData, preserve_rng_state
from ...distributed import world_size
from ...errors import WiringError
from ...experiment import Experiment
from ._cached_source import CachedSource
from ._view_plan import is_mixed

_ITEMS = 16  # samples of a data set that are read and hashed if its tensors are not available


def key_of(source: CachedSource, loader: Loader, experiment: Experiment, views: int) -> Key:
    """Return the key of a model's values on these data.

    Args:
        source: The frozen model with its taps and its feed.
        loader: The data.
        experiment: Precision is taken from it, and the seed if samples depend on it.
        views: The number of views.
    """
    model = source.model
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    whole = {name: getattr(tensor, "full_tensor", lambda tensor=tensor: tensor)() for name, tensor in tensors.items()}
    kinds = sorted({str(tensor.dtype) for tensor in model.state_dict().values()})
    of_model = {
        "weights": hash_tensors(whole.items()),
        "model": module_text(model),
        "dtype": _dtype_text(source, experiment, kinds),
    }
    return Key(of_model | parts_without_model(source, loader, experiment, views))


def parts_without_model(source: CachedSource, loader: Loader, experiment: Experiment, views: int) -> dict[str, str]:
    """Return the parts of a key that follow from the experiment alone."""
    data, transform = data_parts(loader, experiment.seed)
    if is_mixed(loader):
        transform = describe([transform, loader.mix, loader.repeats, loader.batch_size, world_size()])
    feed = {name: str(taps) for name, taps in source.feed.inputs.items()} if source.feed else "batch.input"
    own = experiment.sources[source.name].input_text if source.name in experiment.sources else ""
    return {
        "feed": json.dumps(feed, sort_keys=True) + f" {own}" * bool(own),
        "taps": json.dumps(sorted(tap.address for tap in source.live.taps)),
        "data": data,
        "transform": transform,
        "seed": str(experiment.seed) if _depends_on_seed(loader) else "any",
        "views": str(views),
        "codec": source.codec,
    }


def _depends_on_seed(loader: Loader) -> bool:
    """Return whether the samples may depend on the seed of a run: those of tensors without augmentation do not."""
    return is_mixed(loader) or not (isinstance(loader.dataset, TensorData) and loader.dataset.is_fixed)


def stored_key(folder: Path, source: CachedSource, loader: Loader, experiment: Experiment, views: int) -> Key:
    """Return the key of the cache that holds the values of a model that is not built.

    Args:
        folder: The folder of the model's caches.
        source: The model's taps and feed.
        loader: The data.
        experiment: Seed and precision are taken from it.
        views: The number of views.

    Raises:
        WiringError: No cache has these values, or several have them, of different models.
    """
    known = Key(parts_without_model(source, loader, experiment, views))
    kinds = _dtype_text(source, experiment, [])
    differences = {}
    for name, key in stored_keys(folder, source.name).items():
        others = {part: text for part, text in key.parts.items() if part not in ("weights", "model", "dtype")}
        is_same = _without_kinds(key.parts.get("dtype", "")) == _without_kinds(kinds)
        differences[name] = known.differences(Key(others)) + ([] if is_same else ["dtype"])
    matching = [name for name, parts in differences.items() if not parts]
    if len(matching) == 1:
        return stored_keys(folder, source.name)[matching[0]]
    where = f"cache.{source.name}"
    if matching:
        message = f"'{source.name}' is not built, and {', '.join(matching)} in {folder} hold values of different models"
        raise WiringError(message, key=where, hint="remove all but one, or set build_model: true")
    nearest = min(differences, key=lambda name: len(differences[name]))
    message = f"'{source.name}' is not built, and no cache in {folder} holds these values"
    message += f"; of {nearest} the {' and '.join(differences[nearest])} differ"
    raise WiringError(message, key=where, hint="build it where the model is: distill cache build FILE")


def _dtype_text(source: CachedSource, experiment: Experiment, kinds: Sequence[str]) -> str:
    compiled = f" compiled: {source.settings.compile}" if source.settings.compile else ""
    return f"{source.settings.precision or experiment.precision} {kinds}{compiled}"


def _without_kinds(text: str) -> str:
    """Return the part `dtype` of a key without the types of the model's weights."""
    return re.sub(r"\[.*?\]", "[]", text)


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
