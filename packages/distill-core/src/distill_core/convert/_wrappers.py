"""The settings of a model in a stage: what it runs, what is frozen, and the auxiliary wrappers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._context import Context
from ._given import Given
from ._old import LostError, Place
from ._output import Call
from ._sides import Part, Side

FORWARDS = {
    "forward_all",
    "forward_batch_only",
    "forward_batch_only_as_kwargs",
    "forward_batch_as_kwargs",
    "forward_batch_supp_dict",
    "forward_batch_target",
    "forward_batch4sskd",
}
"""Forward functions of torchdistill and its examples."""


def convert_side(context: Context, name: str, place: Place) -> Side:
    """Return a model in a stage."""
    side = Side(context, name, place)
    forward = place.take("forward_proc")
    if forward is not None:
        side.forward = forward.text()
        if side.forward not in FORWARDS:
            context.lost(
                forward, f"the forward function '{side.forward}'", "write `feed:`, the wiring of the model's inputs"
            )
    side.learns = _learns(context, place)
    if wrapper := place.take("wrapper"):
        wrapper.omit("the command line decides between one process and several")
    if hooks := place.take("forward_hook"):
        for found in (hooks.take("input"), hooks.take("output")):
            if found and found.items():
                found.omit("taps follow from the losses")
    _pieces(side, place)
    if wrapper := place.take("auxiliary_model_wrapper", "special", "auxiliary_model"):
        _wrap(side, wrapper)
    for key in ("src_ckpt", "dst_ckpt"):
        if checkpoint := place.take(key):
            context.lost(checkpoint, "a checkpoint between stages", "modules are the same objects in all stages")
            checkpoint.ignore()
    return side


def _learns(context: Context, place: Place) -> bool:
    if found := place.take("requires_grad"):
        return found.flag()
    empty = dict(place.raw_entries()).get("requires_grad")
    if empty is not None:
        context.exact(empty, "an empty value freezes the model, as false does")
    return empty is None


def _pieces(side: Side, place: Place) -> None:
    """Read `sequential`, `adaptations` and `frozen_modules`."""
    frozen = place.take("frozen_modules")
    for item in frozen.items() if frozen else []:
        path = item.text()
        if "(" in path:
            side.context.lost(item, f"'{path}' freezes all modules of a class", f"list them: '!{side.name}.*.bn?'")
        else:
            side.frozen.append(path)
    if frozen and side.frozen and side.name == "teacher" and not side.learns:
        frozen.omit("`requires_grad: False` freezes all")
    sequence = place.take("sequential")
    paths = [item.text() for item in sequence.items()] if sequence else []
    if sequence and paths and side.name == "teacher":
        sequence.omit("a frozen teacher stops behind its last tap")
    if sequence and paths:
        side.sequence, side.sequence_place = paths, sequence
    adaptations = place.take("adaptations")
    for name, entry in adaptations.entries().items() if adaptations else ():
        position = paths.index(f"+{name}") if f"+{name}" in paths else -1
        if position < 0:
            side.context.lost(entry, f"the module '{name}' is not in 'sequential'")
        before = paths[position - 1] if position > 0 else ""
        key, kwargs = entry.need("key", "type").text(), entry.mapping("kwargs", "params").given()
        if side.context.keys.get(side.name) in POOLED and name in ("maxpool1", "maxpool2"):
            side.own.add(_own_pool(side, entry, name, key, kwargs))
        else:
            side.new[name] = (_module(entry, key, kwargs), before)


POOLED = ("inception_v3",)
"""Models of torchvision that have the pools of the published files as modules of their own."""


def _own_pool(side: Side, place: Place, name: str, key: str, kwargs: Given) -> str:
    """Return the name of a pool that the model has."""
    kwargs.only("kernel_size", 3)
    kwargs.only("stride", 2)
    if key != "MaxPool2d" or kwargs.keys() != {"kernel_size", "stride"}:
        raise LostError(place, f"a module '{name}' other than that of the model")
    side.context.exact(place, f"{side.name}.{name} is a module of the model")
    return name


def _module(place: Place, key: str, kwargs: dict[str, Any]) -> Any:
    """Return a module that a sequence adds."""
    if key != "ConvReg":
        return Call(f"torch.nn.{key}", kwargs)
    size, stride = kwargs.get("kernel_size", 1), kwargs.get("stride", 1)
    padding = kwargs.get("padding", 0)
    if not isinstance(relu := kwargs.get("uses_relu", True), bool):
        raise LostError(place, f"`uses_relu` must be true or false, got {relu!r}")
    channels = {"in_channels": kwargs["num_input_channels"], "out_channels": kwargs["num_output_channels"]}
    options = {
        **({"kernel_size": size} if size != 1 else {}),
        **({} if relu else {"relu": False}),
        **({"stride": stride} if stride != 1 else {}),
        **({"padding": padding} if padding != size // 2 else {}),
    }
    return Call("distill_core.layers.ConvReg", channels | options)


def _path_of(side: Side, settings: Place) -> str:
    """Return the tap of `input_module` or `input_module_path`."""
    if path := settings.take("input_module_path"):
        return side.tap(path.text(), place=path)
    module = settings.need("input_module")
    io = module.take("io")
    path = module.need("path")
    return side.tap(path.text(), io.text() if io else "output", path)


def _wrap(side: Side, place: Place) -> None:
    """Read an auxiliary wrapper."""
    key = place.need("key", "type")
    side.wrapper = key.text()
    if side.wrapper not in WRAPPERS:
        raise LostError(key, f"the wrapper '{side.wrapper}'", "write its modules as a loss of your own")
    _pieces(side, place)
    if (settings := place.take("kwargs", "params")) is not None:
        if (minimal := settings.take("minimal")) and (modules := minimal.take("sequential")):
            modules.omit("a frozen teacher stops behind its last tap")
        for name, reason in OMITTED.items():
            if found := settings.take(name):
                _compare_checkpoints(side, name, found)
                found.omit(reason)
        WRAPPERS[side.wrapper](side, settings)


def _compare_checkpoints(side: Side, name: str, place: Place) -> None:
    """Report a module that starts from another file than the one that its earlier stage writes, or from the other model's."""
    if not name.endswith("_ckpt"):
        return
    files = side.context.checkpoints
    if files.setdefault((side.name, name), place.source) != place.source:
        message = "theirs starts from another file than the earlier stage writes; here the module continues"
        side.context.corrected(place, message)
    elif side.name == "student" and files.get(("teacher", name)) == place.source:
        side.context.corrected(
            place, "theirs starts from the teacher's module, which this file has; here it starts anew"
        )


_SHARED = "the module is the same object in all stages"
OMITTED = {
    "paraphraser_ckpt": _SHARED,
    "ss_module_ckpt": _SHARED,
    "var_estimator_ckpt": _SHARED,
    "find_unused_parameters": "it is found out",
    "sizes": "the sizes are those of the maps",
    "head_rcnn": "the forward stops behind the last tap",
}
"""Settings of wrappers that change no number → why."""


OF_LAYERS = {"conv2d_kwargs", "bn2d_kwargs", "kwargs", "regressor_kwargs", "in_channels", "out_channels"}
"""Settings of a module for one of several layers."""


def _one(kind: str, path: str, key: str) -> Callable[[Side, Place], None]:
    """Return the reader of a wrapper with one module."""

    def read(side: Side, settings: Place) -> None:
        source = _path_of(side, settings)
        found = settings.take(key)
        plain = found.plain() if found else {}
        side.parts[path] = Part(kind, plain if isinstance(plain, dict) else {key: plain}, source, found or settings)

    return read


def _many(kind: str, key: str, path: str) -> Callable[[Side, Place], None]:
    """Return the reader of a wrapper with a module for each of several layers."""

    def read(side: Side, settings: Place) -> None:
        for name, entry in settings.need(key).entries().items():
            where, io = entry.need("path"), entry.take("io")
            source = side.tap(where.text(), io.text() if io else "output", where)
            values = {one: value.plain() for one, value in entry.entries().items() if one not in ("path", "io")}
            if unknown := values.keys() - OF_LAYERS:
                raise LostError(entry, f"'{unknown.pop()}' is not a key of a {kind}")
            side.parts[f"{path}.{name}"] = Part(kind, values, source, entry)

    return read


def _factor_teacher(side: Side, settings: Place) -> None:
    _one("paraphraser", "paraphraser", "paraphraser_kwargs")(side, settings)
    part = side.parts["paraphraser"]
    encoder = Part("encoder", part.settings, part.source, part.place)
    decodes = settings.take("uses_decoder")
    side.parts["paraphraser.encoder"] = encoder
    if decodes and not decodes.flag():
        side.parts["paraphraser"] = encoder


def _contrastive(side: Side, settings: Place) -> None:
    if (power := settings.take("power")) and power.plain() != 2:
        raise LostError(power, "a norm other than the 2-norm")
    _one("normalizer", "normalizer", "linear_kwargs")(side, settings)
    part = side.parts["normalizer"]
    side.parts["empty"] = Part("empty", {}, part.source, part.place)


def _review(side: Side, settings: Place) -> None:
    entries = settings.need("abfs").items()
    for number, entry in enumerate(reversed(entries)):
        where, io = entry.need("path"), entry.take("io")
        source = side.tap(where.text(), io.text() if io else "output", where)
        side.parts[f"abf_modules.{number}"] = Part("fusion", entry.mapping("kwargs").given(), source, entry)


def _adaptation(side: Side, settings: Place) -> None:
    source = _path_of(side, settings)
    for path, key in (("feature_adapter", "feature_adapter_config"), ("affinity_adapter", "affinity_adapter_config")):
        config = settings.need(key)
        side.parts[path] = Part(path, config.given(), source, config)


def _head(side: Side, settings: Place) -> None:
    _one("head", "ss_module", "feat_dim")(side, settings)
    if freezes := settings.take("freezes_ss_module"):
        freezes.flag()
        freezes.omit("it only decides which module is wrapped for several processes")


def _simple_recipe(side: Side, settings: Place) -> None:
    source = _path_of(side, settings)
    norm, linear = settings.mapping("norm_kwargs"), settings.take("linear_kwargs")
    found = {"norm": norm.given(), "linear": linear.given() if linear else None}
    side.parts["norm_layer"] = Part("norm", found, source, norm)


WRAPPERS: Mapping[str, Callable[[Side, Place], None]] = {
    "EmptyModule": lambda side, settings: None,  # noqa: ARG005 - nothing to read
    "HeadRCNN": lambda side, settings: None,  # noqa: ARG005 - taps reach the backbone itself
    "Teacher4FactorTransfer": _factor_teacher,
    "Student4FactorTransfer": _one("translator", "translator", "translator_kwargs"),
    "Connector4DAB": _many("connector", "connectors", "connector_dict"),
    "VariationalDistributor4VID": _many("regressor", "regressors", "regressor_dict"),
    "Linear4CCKD": _one("linear", "linear", "linear_kwargs"),
    "Linear4CRD": _contrastive,
    "SSWrapper4SSKD": _head,
    "VarianceBranch4PAD": _one("variance", "var_estimator", "feat_dim"),
    "Student4KnowledgeReview": _review,
    "Student4KTAAD": _adaptation,
    "Student4ICKD": _many("embedding", "embeddings", "embed_dict"),
    "SRDModelWrapper": _simple_recipe,
}
"""The 14 wrappers → what reads their settings."""
