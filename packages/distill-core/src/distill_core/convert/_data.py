"""Datasets of images: torchvision's classes and the examples' functions, as functions of `distill_vision.data`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ._context import Context
from ._objects import Named, named
from ._old import LostError, Place
from ._output import Call
from ._transforms import augmentation, pair_sizes, photograph_sizes, transform_call

LABELS = {"CIFAR10": ("cifar10", 50_000), "CIFAR100": ("cifar100", 50_000)}


@dataclass(frozen=True)
class Batches:
    """What a loader of the old file asks for.

    Attributes:
        place: Its place.
        options: `batch_size`, `num_workers`, `drop_last` and, for boxes, `group_by_shape`.
        shuffle: Whether each epoch has a new order.
        is_training: Whether it is a loader of training.
        rotates: Whether each image is seen in its four rotations.
        workers: The place of the number of workers.
    """

    place: Place
    options: Mapping[str, Any]
    shuffle: bool
    is_training: bool
    rotates: bool = False
    workers: Place | None = None

    def only(self, *names: str) -> dict[str, Any]:
        """Return the options with these names that are not the default."""
        return {name: item for name, item in self.options.items() if name in names and item not in (0, False)}


@dataclass(frozen=True)
class Source:
    """A dataset of the old file.

    Attributes:
        place: Its place.
        task: `classification`, `detection` or `segmentation`.
        loader: Returns the new loader.
    """

    place: Place
    task: str
    loader: Callable[[Context, Batches], Any]


def convert_source(place: Place) -> Source:
    """Return a dataset.

    Raises:
        LostError: It has no counterpart.
    """
    if place.tag == "!access_by_index_or_key":
        place.read()
        return _split(place)
    return _source(named(place), None, None)


def _source(found: Named, held_out: tuple[int, int] | None, transform: Place | None) -> Source:
    """Return a dataset; `held_out` is the number of samples held out and the position in the split."""
    builders: Mapping[str, tuple[str, Callable[[Context, Batches], Any]]] = {
        "ImageFolder": ("classification", lambda c, b: _folder(c, b, found, held_out, transform)),
        "CIFAR10": ("classification", lambda c, b: _cifar(c, b, found, held_out, transform)),
        "CIFAR100": ("classification", lambda c, b: _cifar(c, b, found, held_out, transform)),
        "VOCSegmentation": ("segmentation", lambda c, b: _voc(c, b, found)),
        "coco_dataset": ("segmentation" if _is_segment(found) else "detection", lambda c, b: _coco(c, b, found)),
    }
    found.refuse_args()
    if found.name not in builders and found.path.startswith("torchvision.datasets."):
        return Source(found.place, "classification", lambda _, batches: _generic(batches, found, transform))
    if found.name not in builders:
        raise LostError(found.place, f"the dataset '{found.path}' has no counterpart", "write a loader of your own")
    found.require_of("torchvision.datasets", "coco.dataset")
    task, loader = builders[found.name]
    return Source(found.place, task, loader)


def _split(place: Place) -> Source:
    """Return one part of `split_dataset`."""
    index = place.need("index_or_key").integer()
    whole = named(place.need("data"))
    if whole.name != "split_dataset":
        raise LostError(place, "only the parts of split_dataset are accessed by index")
    whole.require_of("torchdistill")
    whole.refuse_args()
    lengths = whole.value("lengths", whole.value("random_split_kwargs", [9, 1]))
    for name, reason in (("generator_seed", "`split_seed` chooses the samples"), ("dataset_id", "a name for files")):
        if name in whole.kwargs:
            whole.kwargs[name].omit(reason)
    inner = named(whole.need("dataset"))
    configs = whole.kwargs["sub_splits_configs"].items() if "sub_splits_configs" in whole.kwargs else []
    transform = None
    if index < len(configs):
        transform = configs[index].take("transform")
    if len(lengths) != 2:
        raise LostError(whole.kwargs.get("lengths", place), "two parts can be converted", "write a loader of your own")
    total = LABELS.get(inner.name, ("", 0))[1]
    held = lengths[1] if sum(lengths) == total or not total else round(total * lengths[1] / sum(lengths))
    return _source(inner, (held, index), transform)


def _holdout(context: Context, place: Place, held_out: tuple[int, int] | None) -> dict[str, Any]:
    """Return the arguments of a split; the held-out samples are others."""
    if held_out is None:
        return {"holdout": 0}
    message = "`holdout` takes as many samples of each class, chosen by split_seed instead of random_split"
    context.report.add(place.line, "corrected", place.path, message)
    return {"holdout": held_out[0]}


def _folder(
    context: Context, batches: Batches, found: Named, held_out: tuple[int, int] | None, own: Place | None
) -> Any:
    folder = PurePosixPath(found.need("root").text())
    transform = own or found.kwargs.get("transform")
    is_training = folder.name == "train"
    if found.kwargs.keys() - {"root", "transform"}:
        raise LostError(found.place, "ImageFolder with more than a root and a transform", "write a loader of your own")
    split = "train" if is_training and not (held_out and held_out[1]) else "val" if held_out else "test"
    sizes = photograph_sizes(transform, training=split == "train") if transform else None
    arguments: dict[str, Any] = {"split": split, "root": str(folder.parent)}
    if split == "test" and folder.name != "val":
        arguments["test"] = folder.name
    arguments |= {"batch_size": batches.options["batch_size"], **batches.only("num_workers", "drop_last")}
    if held_out:
        arguments |= _holdout(context, found.place, held_out)
    if sizes is None and transform is not None:
        arguments["transform"] = transform_call(transform)
    elif sizes not in (None, 224):
        arguments["size"] = sizes
    _order(batches, arguments, split)
    if batches.rotates:
        arguments["augment"] = Call("distill_vision.transforms.rotations", tag="import_get")
    return Call("distill_vision.data.image_folder", arguments)


def _order(batches: Batches, arguments: dict[str, Any], split: str) -> None:
    if batches.shuffle != (split == "train"):
        arguments["shuffle"] = batches.shuffle


def _cifar(
    context: Context, batches: Batches, found: Named, held_out: tuple[int, int] | None, own: Place | None
) -> Any:
    transform = own or found.kwargs.get("transform")
    chain = augmentation(transform, found.name) if transform else None
    if chain is None or batches.options.get("drop_last") or context.as_published:
        if held_out is None:
            return _generic(batches, found, transform)
        raise LostError(found.place, "this transform of a part of CIFAR", "write a loader of your own")
    if chain.rounded:
        message = "means and deviations have four digits; --as-published keeps theirs"
        context.report.add(found.place.line, "corrected", found.place.path, message)
    if batches.workers:
        batches.workers.omit("the images are in memory")
    training = found.flag("train", True)
    split = "val" if held_out and held_out[1] else "train" if training else "test"
    arguments = {"split": split, "root": found.need("root").text(), "batch_size": batches.options["batch_size"]}
    if found.flag("download", False):
        arguments["download"] = True
    arguments |= _holdout(context, found.place, held_out) if training else {}
    _order(batches, arguments, split)
    steps = [*chain.steps, *(["rotations"] if batches.rotates else [])]
    if len(steps) == 1:
        arguments["augment"] = Call(f"distill_vision.transforms.{steps[0]}", tag="import_get")
    elif steps:
        parts = [Call(f"distill_vision.transforms.{step}", tag="import_get") for step in steps]
        arguments["augment"] = Call("distill_vision.transforms.Compose", {"augmentations": parts})
    return Call(f"distill_vision.data.{LABELS[found.name][0]}", arguments)


def _generic(batches: Batches, found: Named, transform: Place | None) -> Any:
    """Return a loader of the same dataset of torchvision."""
    if batches.rotates:
        raise LostError(batches.place, "rotations of this dataset", "use a function of distill_vision.data")
    arguments = {
        name: transform_call(place) if name in ("transform", "target_transform", "transforms") else place.plain()
        for name, place in found.kwargs.items()
    }
    if transform is not None:
        arguments["transform"] = transform_call(transform)
    options = {"batch_size": batches.options["batch_size"], **({"shuffle": True} if batches.shuffle else {})}
    return Call(
        "distill_core.data.Loader",
        {"dataset": Call(found.path, arguments), **options, **batches.only("num_workers", "drop_last")},
    )


def _voc(context: Context, batches: Batches, found: Named) -> Any:
    listed = found.value("image_set", "train")
    if "download" in found.kwargs:
        found.kwargs["download"].omit("the data are downloaded once, before the run")
    arguments: dict[str, Any] = {
        "split": "test" if listed == "val" else "train",
        "root": found.need("root").text(),
        "batch_size": batches.options["batch_size"],
        **batches.only("num_workers", "drop_last"),
    }
    if str(found.value("year", "2012")) != "2012":
        arguments["year"] = int(found.value("year"))
    if listed != "val":
        arguments |= {"holdout": 0} | ({} if listed == "train" else {"listed": listed})
    return _pairs(context, batches, arguments, found, "voc_segmentation", (513, 256, 1026, 513))


def _is_segment(found: Named) -> bool:
    return found.kwargs["is_segment"].flag() if "is_segment" in found.kwargs else False


def _coco(context: Context, batches: Batches, found: Named) -> Any:
    folder = PurePosixPath(found.need("img_dir_path").text())
    annotations = PurePosixPath(found.need("ann_file_path").text())  # as a path: `./data` equals `data`
    training, segments = folder.name.startswith("train"), _is_segment(found)
    year = "".join(character for character in folder.name if character.isdigit())
    if annotations != folder.parent / "annotations" / f"instances_{folder.name}.json" or not year:
        raise LostError(found.kwargs["ann_file_path"], "the files are not laid out as COCO's", "write a loader")
    arguments: dict[str, Any] = {
        "split": "train" if training else "test",
        "root": str(folder.parent),
        "batch_size": batches.options["batch_size"],
        **batches.only("num_workers", "drop_last"),
        **({} if year == "2017" else {"year": int(year)}),
        **({"holdout": 0} if training else {}),
    }
    if found.value("annotated_only", training) != training:
        raise LostError(found.kwargs["annotated_only"], "training omits images without objects, evaluation does not")
    if segments:
        return _pairs(context, batches, arguments, found, "coco_segmentation", (480, 260, 1040, 520))
    flip = found.value("random_horizontal_flip", 0.5 if training else None)
    for name in ("transforms", "jpeg_quality"):
        if name in found.kwargs and not found.kwargs[name].is_null:
            raise LostError(found.kwargs[name], "transforms of boxes", "give coco_detection a transform of yours")
    if training and flip != 0.5:
        arguments["transform"] = Call("distill_vision.transforms.detection_train", {"flip": flip or 0.0})
    _order(batches, arguments, arguments["split"])
    return Call("distill_vision.data.coco_detection", arguments | batches.only("group_by_shape"))


def _pairs(
    context: Context,
    batches: Batches,
    arguments: dict[str, Any],
    found: Named,
    function: str,
    usual: tuple[int, int, int, int],
) -> Any:
    """Return a loader of images with masks."""
    training = arguments["split"] == "train"
    if "transforms" not in found.kwargs:
        raise LostError(found.place, "images and masks without transforms", "give the function a transform")
    crop, least, most, flip = pair_sizes(found.kwargs["transforms"], training=training)
    if training and (crop, least, most, flip) != (*usual[:3], 0.5):
        sizes = {"crop": crop, "smallest": least, "largest": most, "flip": flip}
        arguments["transform"] = Call("distill_vision.transforms.segmentation_train", sizes)
    elif not training and least != usual[3]:
        arguments["size"] = least
    _order(batches, arguments, arguments["split"])
    context.exact(found.place, f"distill_vision.data.{function}")
    return Call(f"distill_vision.data.{function}", arguments)
