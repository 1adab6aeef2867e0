"""Models: a key of torchdistill's registry or of torchvision, its weights and its checkpoints."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from ._bottlenecks import BOTTLENECKS, bottleneck_width
from ._context import Context
from ._objects import named
from ._old import LostError, Place
from ._output import Call

CIFAR = {
    *(f"resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202)),
    *(f"wide_resnet{name}" for name in ("40_1", "40_2", "40_4", "28_10", "16_8")),
    *(f"densenet_bc_{name}" for name in ("k12_depth100", "k24_depth250", "k40_depth190")),
    "wide_resnet",
    "resnet",
    "densenet",
}
"""Registered models of torchdistill that `distill_vision.models` has under the same name."""

RENAMED = {"k": "widen_factor", "widen_factor": "widen_factor", "num_blocks": "depth", "depth": "depth"}
ARGUMENTS = {"dropout_p", "num_classes", "growth_rate", "bottleneck", "compression", *RENAMED}

PREFIXES = ("", "detection.", "segmentation.")


@cache
def torchvision_weights() -> dict[str, dict[str, str]]:
    """Return the builders of torchvision: name below `torchvision.models` → name of weights → file."""
    lines = files(__package__).joinpath("torchvision_weights.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines if not line.startswith("#"))
    return {name: dict(entry.split("=") for entry in entries) for name, *entries in rows}


def builder_name(key: str) -> str:
    """Return the name of a builder below `torchvision.models`; an empty string if torchvision has none."""
    return next((prefix + key for prefix in PREFIXES if prefix + key in torchvision_weights()), "")


def convert_model(context: Context, side: str, place: Place) -> Any:
    """Return a model of the new file.

    Args:
        context: The conversion.
        side: `teacher` or `student`.
        place: The model in the old file.

    Raises:
        LostError: The model has no counterpart.
    """
    key = place.need("key", "name", "type")
    name, kwargs = key.text(), place.mapping("kwargs", "params")
    _check_origin(place, name)
    if count := kwargs.take("num_classes"):
        context.num_classes = int(count.plain())
    if side == "student" and name in BOTTLENECKS:
        context.renamed = BOTTLENECKS[name].renamed
    model = _with_checkpoints(context, place, name, _built(context, key, name, kwargs))
    if label := place.take("experiment"):
        label.ignore()
    return model


def _check_origin(place: Place, name: str) -> None:
    """Refuse a model of another repository, and settings that have no counterpart."""
    repository = place.take("repo_or_dir")
    if repository is not None:
        is_torchvision = repository.text().partition(":")[0] == "pytorch/vision" and builder_name(name)
        if name not in BOTTLENECKS and not is_torchvision:
            hint = "copy it into a module of yours and name it, with --trust"
            raise LostError(repository, f"'{name}' is code of a repository", hint)
    for flag in ("quantized", "sync_bn"):
        if (found := place.take(flag)) and found.flag():
            raise LostError(found, f"'{flag}' has no counterpart", "build the model in a function of yours")


def _with_checkpoints(context: Context, place: Place, name: str, model: Any) -> Any:
    """Return a model with the weights of its checkpoint."""
    for old_key in ("dst_ckpt", "ckpt"):
        if written := place.take(old_key):
            context.exact(written, f"the student is written to the run's folder instead of {written.text()}")
    source = place.take("src_ckpt")
    if source is None:
        return model
    if name in BOTTLENECKS:
        raise LostError(source, f"weights of '{name}'", "train the bottleneck of ours; its layers are others")
    context.exact(source, "load_weights reads its checkpoints, bare or under 'model'")
    return Call("distill_core.weights.load_weights", {"model": model, "path": source.text()})


def _built(context: Context, key: Place, name: str, kwargs: Place) -> Any:
    if name in BOTTLENECKS:
        return _bottleneck(context, key, name, kwargs)
    if builder := builder_name(name):
        context.exact(key, f"torchvision.models.{builder}")
        return _torchvision(context, builder, kwargs)
    if name in CIFAR:
        arguments = kwargs.plain()
        if unknown := [one for one in arguments if one not in ARGUMENTS]:
            raise LostError(kwargs, f"'{name}' has no argument '{unknown[0]}' here", "write a model of your own")
        context.exact(key, f"distill_vision.models.{name}")
        return Call(f"distill_vision.models.{name}", {RENAMED.get(one, one): item for one, item in arguments.items()})
    raise LostError(key, f"there is no model '{name}'", "name the import path of your builder, and run with --trust")


def _torchvision(context: Context, builder: str, kwargs: Place) -> Any:
    """Return a model of torchvision; its weights become a file that is loaded."""
    arguments, file = {}, ""
    for name, place in kwargs.entries().items():
        if name == "progress" or (name == "pretrained" and place.plain() is False):
            place.ignore()
        elif name in ("weights", "pretrained") and not place.is_null:
            member = _member(builder, place)
            file = _file(builder, member, place)
            context.exact(place, f"the weights are those of {file}")
        elif name == "weights_backbone" and not place.is_null:
            arguments[name] = _enumerated(place)
            context.exact(place, "torchvision downloads the weights of the backbone")
        else:
            arguments[name] = place.plain()
    arguments.pop("weights", None)
    model = Call(f"torchvision.models.{builder}", _without_downloads(builder, arguments, bool(file)))
    if not file:
        return model
    return Call("distill_core.weights.load_weights", {"model": model, "path": f"weights/{file}"})


def _without_downloads(builder: str, arguments: dict[str, Any], is_loaded: bool) -> dict[str, Any]:
    """Return arguments that build a model as torchvision does with weights, without downloading them."""
    if not is_loaded:
        return arguments
    if not builder.startswith(("detection.", "segmentation.")):
        return {name: item for name, item in arguments.items() if (name, item) != ("num_classes", 1000)}
    defaults = {"weights": None, "weights_backbone": None, "num_classes": 91 if builder.startswith("d") else 21}
    if builder.startswith("segmentation.") and "lraspp" not in builder:
        defaults["aux_loss"] = True
    return {**defaults, **arguments}


def _enumerated(place: Place) -> str:
    return named(place).name if place.tag else place.text()


def _member(builder: str, place: Place) -> str:
    """Return the name of weights; `pretrained: True` means the first ones that torchvision published."""
    first = next(iter(torchvision_weights()[builder]), "")
    if not place.tag and place.plain() is True:
        return first
    member = _enumerated(place).rpartition(".")[2]
    return first if member == "DEFAULT" and len(torchvision_weights()[builder]) == 1 else member


def _file(builder: str, member: str, place: Place) -> str:
    known = torchvision_weights()[builder]
    if member not in known:
        raise LostError(place, f"torchvision has no weights '{member}' of {builder}", f"choose from {', '.join(known)}")
    return known[member]


def _bottleneck(context: Context, key: Place, name: str, kwargs: Place) -> Any:
    """Return ours in place of a model with a bottleneck; its layers before the tail differ."""
    found = BOTTLENECKS[name]
    arguments = kwargs.entries()
    width = bottleneck_width(arguments)
    given = {one: place.plain() for one, place in arguments.items() if one not in ("weights", "pretrained", "progress")}
    for one in ("pretrained", "progress"):
        if one in arguments:
            arguments[one].plain()
    inner: Any = Call(f"torchvision.models.{found.base}", _without_downloads(found.base, given, is_loaded=True))
    if (weights := arguments.get("weights")) is not None and not weights.is_null:
        file = _file(found.base, _member(found.base, weights), weights)
        inner = Call("distill_core.weights.load_weights", {"model": inner, "path": f"weights/{file}"})
    message = f"the bottleneck is that of {found.builder}, whose layers have other widths; the tail is the same"
    context.corrected(key, message)
    last = {"last": found.last} if found.last else {}
    return Call(f"distill_vision.models.{found.builder}", {"model": inner, "channels": width, **last})
