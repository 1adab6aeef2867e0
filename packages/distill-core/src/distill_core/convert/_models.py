"""Models: a key of torchdistill's registry or of torchvision, its weights and its checkpoints."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from ._bottlenecks import BOTTLENECKS, SC2, sent_channels
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

TRANSFORMING = ("inception_v3", "googlenet")
"""Models that change the normalisation of the images if torchvision loads their weights, and initialise them otherwise."""

FROZEN_NORMS: dict[str, dict[str, float]] = {
    **{
        f"detection.{name}_resnet50_fpn": {"eps": 0.0}
        for name in ("fasterrcnn", "maskrcnn", "keypointrcnn", "retinanet")
    },
    "detection.fasterrcnn_mobilenet_v3_large_fpn": {},
    "detection.fasterrcnn_mobilenet_v3_large_320_fpn": {},
}
"""Detectors whose batch norms are fixed if torchvision loads their weights → their ε."""

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
    context.keys[side] = name
    _check_origin(place, name)
    if count := kwargs.take("num_classes"):
        context.num_classes = count.integer()
    model = _with_checkpoints(context, place, _built(context, side, key, kwargs))
    if label := place.take("experiment"):
        label.omit("a name for files")
    return model


def _check_origin(place: Place, name: str) -> None:
    """Refuse a model of another repository, and settings that have no counterpart."""
    if repository := place.take("repo_or_dir"):
        origin = repository.text().partition(":")[0]
        if not ((name in BOTTLENECKS and origin == SC2) or (builder_name(name) and origin == "pytorch/vision")):
            hint = "copy it into a module of yours and name it, with --trust"
            raise LostError(repository, f"'{name}' is code of the repository '{origin}'", hint)
        repository.omit("the model is that of an installed package")
    for flag in ("quantized", "sync_bn"):
        if (found := place.take(flag)) and found.flag():
            raise LostError(found, f"'{flag}' has no counterpart", "build the model in a function of yours")


def _with_checkpoints(context: Context, place: Place, model: Any) -> Any:
    """Return a model with the weights of its checkpoint."""
    for old_key in ("dst_ckpt", "ckpt"):
        if written := place.take(old_key):
            context.exact(written, f"the student is written to the run's folder instead of {written.text()}")
    source = place.take("src_ckpt")
    if source is None:
        return model
    context.exact(source, "load_weights reads its checkpoints, bare or under 'model'")
    return Call("distill_core.weights.load_weights", {"model": model, "path": source.text()})


def _built(context: Context, side: str, key: Place, kwargs: Place) -> Any:
    name = key.text()
    if name in BOTTLENECKS:
        return _bottleneck(context, key, kwargs)
    if builder := builder_name(name):
        context.exact(key, f"torchvision.models.{builder}")
        return _torchvision(context, builder, kwargs.entries(), whole=side not in context.redesigned)
    if name in CIFAR:
        arguments = kwargs.given()
        if unknown := [one for one in arguments if one not in ARGUMENTS]:
            raise LostError(kwargs, f"'{name}' has no argument '{unknown[0]}' here", "write a model of your own")
        context.exact(key, f"distill_vision.models.{name}")
        return Call(f"distill_vision.models.{name}", {RENAMED.get(one, one): item for one, item in arguments.items()})
    raise LostError(key, f"there is no model '{name}'", "name the import path of your builder, and run with --trust")


def _torchvision(context: Context, builder: str, kwargs: dict[str, Place], *, whole: bool = True) -> Any:
    """Return a model of torchvision; its weights become a file that is loaded.

    Args:
        context: The conversion.
        builder: The name of its function below `torchvision.models`.
        kwargs: The arguments.
        whole: Whether its own forward runs, and not a sequence of some of its modules.
    """
    arguments: dict[str, Any] = {}
    file = ""
    for name, place in kwargs.items():
        if name == "progress" or (name == "pretrained" and place.plain() is False):
            place.omit("nothing is downloaded")
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
    if builder in TRANSFORMING:
        arguments |= {"init_weights": not file} | ({"transform_input": True} if whole and file else {})
    if not file:
        return Call(f"torchvision.models.{builder}", arguments)
    model = Call(f"torchvision.models.{builder}", _without_downloads(builder, arguments))
    if builder in FROZEN_NORMS:
        model = Call("distill_vision.models.freeze_batch_norms", {"model": model, **FROZEN_NORMS[builder]})
    return Call("distill_core.weights.load_weights", {"model": model, "path": f"weights/{file}"})


def _without_downloads(builder: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that build a model as torchvision does with weights, without downloading them."""
    if not builder.startswith(("detection.", "segmentation.")):
        return {name: item for name, item in arguments.items() if (name, item) != ("num_classes", 1000)}
    defaults = {"weights": None, "weights_backbone": None, "num_classes": 91 if builder.startswith("d") else 21}
    if builder.startswith("segmentation.") and "lraspp" not in builder:
        defaults["aux_loss"] = True
    return {**defaults, **arguments}


def _enumerated(place: Place) -> str:
    """Return weights as `ResNet50_Weights.IMAGENET1K_V1`."""
    return ".".join(named(place).path.split(".")[-2:]) if place.tag else place.text()


def _member(builder: str, place: Place) -> str:
    """Return the name of weights; `pretrained: True` means the first ones that torchvision published.

    Raises:
        LostError: They are weights of another model.
    """
    first = next(iter(torchvision_weights()[builder]), "")
    if not place.tag and place.plain() is True:
        return first
    owner, _, member = _enumerated(place).rpartition(".")
    if owner and owner.lower() != f"{builder.rpartition('.')[2]}_weights":
        raise LostError(place, f"'{owner}' has no weights of {builder}")
    return first if member == "DEFAULT" and len(torchvision_weights()[builder]) == 1 else member


def _file(builder: str, member: str, place: Place) -> str:
    known = torchvision_weights()[builder]
    if member not in known:
        raise LostError(place, f"torchvision has no weights '{member}' of {builder}", f"choose from {', '.join(known)}")
    return known[member]


def _bottleneck(context: Context, key: Place, kwargs: Place) -> Any:
    """Return a model with a published bottleneck; its later layers are those of a model of torchvision."""
    found = BOTTLENECKS[key.text()]
    arguments = {name: place for name, place in kwargs.entries().items() if name == "backbone" or not place.is_null}
    channels = sent_channels(found, arguments)
    context.exact(key, f"distill_vision.models.{found.builder}, with the names of published weights")
    sent = {"channels": channels} if channels != found.channels else {}
    if arguments.keys() <= {"num_classes"}:
        own = {name: place.plain() for name, place in arguments.items()}
        return Call(f"distill_vision.models.{found.builder}", own | sent)
    if weights := arguments.get("weights", arguments.get("pretrained")):
        context.exact(weights, "the later layers are trained; the bottleneck is new")
        inner = _torchvision(context, found.base, arguments, whole=False)
    else:
        own = {name: place.plain() for name, place in arguments.items()}
        own |= {"init_weights": True} if found.base in TRANSFORMING else {}
        inner = Call(f"torchvision.models.{found.base}", _without_downloads(found.base, own))
    return Call("distill_vision.models.sc2_bottleneck", {"model": inner, "channels": channels})
