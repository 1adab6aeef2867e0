"""Loaders: dataset, order, batch size, and what wraps or collates the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._context import Context
from ._data import Batches, Source
from ._objects import named
from ._old import LostError, Place

COLLATES = {
    "coco_collate_fn",
    "coco_seg_collate_fn",
    "coco_seg_eval_collate_fn",
    "default_data_collator",
    "DataCollatorWithPadding",
}
"""Collate functions of the examples; the loaders of ours collate in the same way."""

SPEED = {"pin_memory", "persistent_workers", "prefetch_factor", "pin_memory_device"}
"""Arguments of torch's DataLoader that change no number."""


def dataset_id(place: Place) -> tuple[str, Place]:
    """Return the id of a loader's dataset, and its place."""
    found = place.need("dataset_id")
    return found.text(), found


def batches(context: Context, place: Place, *, training: bool) -> Batches:
    """Return what a loader asks for; everything that is not known is lost."""
    given = _given(place)
    options = _options(given)
    shuffle = _shuffle(context, place, training=training)
    if extra := place.take("requires_supp"):
        extra.omit("batches have fields, which losses and metrics name")
    if cached := place.take("cache_output"):
        context.lost(cached, "the cache of teacher outputs", "write `cache: {teacher: {folder: …}}` at the top")
        cached.ignore()
    if (found := place.take("collate_fn")) and found.text() not in COLLATES:
        context.lost(found, f"the collate function '{found.text()}'", "give the loader `collate`, and run with --trust")
    grouped = place.take("batch_sampler")
    if grouped is not None:
        options |= _batch_sampler(context, grouped)
    if "batch_size" not in options:
        options["batch_size"] = 1
    wrapper = place.take("dataset_wrapper")
    rotates = wrapper is not None and _wrapped(context, wrapper)
    return Batches(place, options, shuffle, training, rotates, given.get("num_workers"))


def _given(place: Place) -> dict[str, Place]:
    """Return the arguments of torch's DataLoader."""
    kwargs = place.take("kwargs")
    found = kwargs.entries() if kwargs else {}
    for key in ("batch_size", "num_workers", "drop_last", "pin_memory"):  # 0.x files have them beside the dataset
        if key not in found and (own := place.take(key)):
            found[key] = own
    return found


def _options(given: Mapping[str, Place]) -> dict[str, Any]:
    options = {}
    for key, value in given.items():
        if key in ("batch_size", "num_workers", "drop_last"):
            options[key] = value.flag() if key == "drop_last" else value.integer()
        elif key in SPEED:
            value.omit("it changes the speed only")
        else:
            raise LostError(value, f"the argument '{key}' of torch's DataLoader")
    return options


def _shuffle(context: Context, place: Place, *, training: bool) -> bool:
    random = place.take("random_sample")  # 0.x
    sampler = place.take("sampler")
    if sampler is None:
        if random is None and not training:
            context.corrected(place, "without a sampler torchdistill stops here; the order is that of the dataset")
        return random.flag() if random else training
    found = named(sampler.need("class_or_func", "key")).require_of("torch.utils.data")
    kwargs = sampler.take("kwargs")
    known = {"RandomSampler": True, "SequentialSampler": False, "DistributedSampler": True}
    if found.name not in known:
        raise LostError(sampler, f"the sampler '{found.path}'", "give distill_core.data.Loader `sampler`")
    arguments = kwargs.given() if kwargs else {}
    shuffle = bool(arguments.pop("shuffle", known[found.name]))
    if arguments:
        raise LostError(sampler, f"the argument '{next(iter(arguments))}' of a sampler")
    return shuffle


def _batch_sampler(context: Context, place: Place) -> dict[str, Any]:
    key, kwargs = place.need("key").text(), place.mapping("kwargs")
    if key != "GroupedBatchSampler":
        raise LostError(place, f"the batch sampler '{key}'", "give distill_core.data.Loader `batch_sampler`")
    size = kwargs.need("batch_size").integer()
    message = "each image occurs once per epoch; theirs repeats images, or omits them, to fill the last batches"
    context.corrected(place, message)
    return {"batch_size": size, "group_by_shape": _shape_factor(kwargs)}


def _shape_factor(kwargs: Place) -> int:
    """Return the number of groups per factor of 2 in the ratio of width to height."""
    factor, groups = kwargs.take("aspect_ratio_group_factor"), kwargs.take("group_ids")
    if groups is not None:
        factor = named(groups).require_of("custom.sampler").kwargs.get("aspect_ratio_group_factor", factor)
        groups.omit("the groups are made from the dataset of the loader")
    if factor is None:
        raise LostError(kwargs, "groups of another kind than by aspect ratio", "write a loader of your own")
    return factor.integer()


def _wrapped(context: Context, place: Place) -> bool:
    """Return whether a wrapper of the dataset rotates images."""
    key, kwargs = place.need("key").text(), place.take("kwargs")
    if key == "SSKDDatasetWrapper":
        context.corrected(place, "the four rotations are of one augmented image, as in the authors' code")
        return True
    if key != "CRDDatasetWrapper":
        raise LostError(place, f"the dataset wrapper '{key}'", "write a loader of your own")
    if kwargs:
        context.num_negatives = kwargs.need("num_negative_samples").integer()
        given = kwargs.given()
        given.pop("num_negative_samples")
        given.only("mode", "exact")  # 'relax' takes a positive of the same class
        given.only("ratio", 1, 0)  # a part of the negatives of a class
    context.exact(place, "CRDLoss draws the negatives")
    return False


def convert_loader(context: Context, sources: dict[str, Source], place: Place, *, training: bool) -> Any:
    """Return the loader of a place.

    Raises:
        LostError: Its dataset does not exist or has no counterpart.
    """
    name, where = dataset_id(place)
    if name not in sources:
        raise LostError(where, f"there is no dataset '{name}'", f"choose from {', '.join(sources)}")
    context.used.add(name)
    asked = batches(context, place, training=training)
    if "group_by_shape" in asked.options and sources[name].task != "detection":
        raise LostError(place, "batches of images of similar shape without boxes", "write a loader of your own")
    loader = sources[name].loader(context, asked)
    context.exact(place, f"{loader.path}")
    return loader
