"""Transforms of images: chains that are the defaults of ours, and others as calls of torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._objects import Named, named
from ._old import LostError, Place
from ._output import Call

PACKAGES = ("torchvision.transforms", "custom.transform")
"""Packages of the transforms that have a counterpart; the second is of torchdistill's examples."""

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
PIXELS = {
    "CIFAR10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "CIFAR100": ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
}
"""Mean and deviation of `distill_vision.data.cifar10` and `cifar100`."""


@dataclass(frozen=True)
class Augmentation:
    """A chain of CIFAR.

    Attributes:
        steps: Names in `distill_vision.transforms`.
        rounded: Whether the normalisation differs in the fifth digit.
    """

    steps: tuple[str, ...]
    rounded: bool


def chain(place: Place) -> list[Named]:
    """Return the steps of a transform."""
    found = named(place).require_of(*PACKAGES)
    if found.name not in ("Compose", "CustomCompose"):
        return [found]
    inner = found.kwargs.get("transforms") or (found.args[0] if found.args else None)
    if inner is None:
        raise LostError(place, "this Compose has no transforms")
    return [named(item).require_of(*PACKAGES) for item in inner.items()]


def transform_call(place: Place) -> Any:
    """Return a transform as the same calls of torchvision.

    Raises:
        LostError: It is not of torchvision.
    """
    if not place.tag:
        return [transform_call(item) for item in place.items()] if isinstance(place.node.value, list) else place.plain()
    found = named(place)
    if not found.path.startswith(("torchvision.", "torch.")):
        raise LostError(place, f"the transform '{found.path}' has no counterpart", "write it, and run with --trust")
    found.refuse_args()
    if not found.called:
        return Call(found.path, tag="import_get")
    return Call(found.path, {name: _argument(item) for name, item in found.kwargs.items()})


def _argument(place: Place) -> Any:
    is_nested = bool(place.tag) and place.tag not in ("!join", "!pathjoin")
    items = place.items() if isinstance(place.node.value, list) and not place.is_mapping and not place.tag else []
    return transform_call(place) if is_nested or any(item.tag for item in items) else place.plain()


def _square(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 2 and value[0] == value[1] else value


def _close(given: Any, usual: list[float]) -> bool:
    return (
        isinstance(given, list)
        and len(given) == len(usual)
        and all(abs(one - other) < 6e-4 for one, other in zip(given, usual, strict=True))
    )


def photograph_sizes(place: Place, *, training: bool) -> int | None:
    """Return the size if a chain is that of `imagenet_train` or `imagenet_eval`; None for any other chain."""
    steps = chain(place)
    usual = ["RandomResizedCrop", "RandomHorizontalFlip"] if training else ["Resize", "CenterCrop"]
    if [step.name for step in steps] != [*usual, "ToTensor", "Normalize"] or any(step.args for step in steps):
        return None
    first, second, _, normalize = steps
    size = _square((first if training else second).value("size"))
    if (normalize.value("mean"), normalize.value("std")) != IMAGENET or not isinstance(size, int):
        return None
    if training:
        is_usual = first.kwargs.keys() == {"size"} and second.value("p", 0.5) == 0.5
    else:
        is_usual = first.kwargs.keys() == {"size"} and _square(first.value("size")) == round(size / 0.875)
    return size if is_usual else None


def augmentation(place: Place, dataset: str) -> Augmentation | None:
    """Return the steps of a chain of CIFAR; None if ours has no such chain."""
    steps = chain(place)
    names = [step.name for step in steps]
    if names[-2:] != ["ToTensor", "Normalize"] or any(step.args for step in steps):
        return None
    mean, std = steps[-1].value("mean"), steps[-1].value("std")
    if not (_close(mean, PIXELS[dataset][0]) and _close(std, PIXELS[dataset][1])):
        return None
    rounded = (mean, std) != PIXELS[dataset]
    if names[:-2] == []:
        return Augmentation((), rounded)
    if names[:-2] != ["RandomCrop", "RandomHorizontalFlip"]:
        return None
    crop, flip = steps[:2]
    is_usual = _square(crop.value("size")) == 32 and crop.value("padding") == 4 and flip.value("p", 0.5) == 0.5
    return Augmentation(("crop_and_flip",), rounded) if is_usual and len(crop.kwargs) == 2 else None


def pair_sizes(place: Place, *, training: bool) -> tuple[int, int, int, float]:
    """Return crop, least and greatest length and probability of mirroring of a chain for images with masks.

    Raises:
        LostError: The chain is another.
    """
    steps = {step.name: step for step in chain(place)}
    usual = (
        ["CustomRandomResize", "CustomRandomHorizontalFlip", "CustomRandomCrop"] if training else ["CustomRandomResize"]
    )
    if list(steps) != [*usual, "CustomToTensor", "CustomNormalize"]:
        raise LostError(place, "this chain of transforms", "give the function a transform of yours")
    normalize, resize = steps["CustomNormalize"], steps["CustomRandomResize"]
    if (normalize.value("mean"), normalize.value("std")) != IMAGENET:
        raise LostError(place, "pixels that are not normalised as ImageNet's", "give the function a transform of yours")
    least, most = resize.value("min_size"), resize.value("max_size", resize.value("min_size"))
    if resize.kwargs.keys() - {"min_size", "max_size"}:
        raise LostError(resize.place, "CustomRandomResize with other arguments", "give the function a transform")
    if not training:
        if least != most:
            raise LostError(resize.place, "a random size in evaluation")
        return 0, least, most, 0.0
    return (
        _square(steps["CustomRandomCrop"].value("size")),
        least,
        most,
        steps["CustomRandomHorizontalFlip"].value("p", 0.5),
    )
