"""Losses with a paraphraser: factor transfer and knowledge adaptation."""

from __future__ import annotations

from typing import Any

from ._feature_losses import one_by_one, part_of
from ._output import Call
from ._sides import Part
from ._terms import Old, Term


def paraphraser(old: Old, part: Part) -> Any:
    """Return the shared paraphraser of a wrapper."""
    settings = part.settings
    one_by_one(part, settings, size=3)
    options = {"in_channels": settings["num_input_channels"], "rate": settings["k"]}
    if settings.get("uses_bn", True):
        options["batch_norm"] = True
    return old.objects.share("paraphraser", Call("distill_core.layers.Paraphraser", options), part.place)


def _channels(encoder: Part) -> int:
    """Return the number of channels of a factor."""
    return int(encoder.settings["num_input_channels"] * encoder.settings["k"])


def _constant(old: Old, encoder: Part) -> Any:
    """Return the paraphraser of stage 1, which no longer changes."""
    if encoder.settings.get("uses_bn", True):
        message = (
            "its batch normalisation is in eval mode after stage 1; theirs takes, and updates, statistics of the batch"
        )
        old.context.corrected(encoder.place, message)
    return paraphraser(old, encoder)


def factor(old: Old) -> list[Term]:
    """FTLoss, its translator inside."""
    old.only("reduction", "mean")
    paths = {name: old.kwargs.take(f"{name}_path") for name in ("paraphraser", "translator")}
    names = {name: path.text() if path else name for name, path in paths.items()}
    encoder = old.side("teacher").part(names["paraphraser"], "encoder", paths["paraphraser"] or old.key)
    part = old.student.part(names["translator"], "translator", paths["translator"] or old.key)
    settings = part.settings
    one_by_one(part, settings, size=3)
    options = {"in_channels": settings["num_input_channels"], "out_channels": settings["num_output_channels"]}
    if settings.get("uses_bn", True):
        options["batch_norm"] = True
    p = old.number("p", 1)
    arguments = {
        "paraphraser": _constant(old, encoder),
        "translator": Call("distill_core.layers.Translator", options),
        "p": None if p == 1 else float(p),
        "mode": "code" if p == 1 else None,
    }
    old.exact("FTLoss with the paraphraser of stage 1")
    return [old.term("FTLoss", arguments, {"student": part.source, "teacher": encoder.source}, learns=("translator",))]


def adaptation(old: Old) -> list[Term]:
    """KTALoss, its adapter inside."""
    old.only("reduction", "mean")
    old.only("p", 1)
    path, adapter = old.kwargs.take("knowledge_translator_path"), old.kwargs.take("feature_adapter_path")
    encoder = old.side("teacher").part(path.text() if path else "paraphraser.encoder", "encoder", path or old.key)
    part = old.student.part(adapter.text() if adapter else "feature_adapter", "feature_adapter", adapter or old.key)
    settings = part.settings["conv_kwargs"]
    settings.omit("bias", "a batch normalisation follows")
    part.settings["bn_kwargs"].only("num_features", _channels(encoder))
    if relu := part.settings.get("relu_kwargs"):
        relu.omit("inplace", "it changes the memory only")
    settings.only("out_channels", _channels(encoder))
    one_by_one(part, settings, size=3)
    q = old.number("q", 2)
    arguments = {
        "translator": _constant(old, encoder),
        "q": None if q == 2 else float(q),
        "student_channels": settings["in_channels"],
        "mode": "code",
    }
    old.exact("KTALoss, form of the code, its adapter inside")
    inputs = {"student": part.source, "teacher": encoder.source}
    return [old.term("KTALoss", arguments, inputs, learns=("adapter",), averages_over="samples")]


def affinity(old: Old) -> list[Term]:
    """AffinityLoss, its adapter inside."""
    old.only("reduction", "mean")
    for side in ("student", "teacher"):
        old.only(f"{side}_module_io", "output")
    path, adapter = old.path("teacher", "module"), old.path("student", "module")
    encoder = part_of(old, "teacher", path, "encoder")
    part = part_of(old, "student", adapter, "affinity_adapter")
    settings = part.settings["conv_kwargs"]
    settings.only("bias", True)
    settings.only("out_channels", _channels(encoder))
    one_by_one(part, settings, size=3)
    mode = old.mode(
        "theirs compares products of each channel; the paper compares cosines over the channels",
        "products of each channel, as in torchdistill",
    )
    arguments = {"translator": _constant(old, encoder), "student_channels": settings["in_channels"], "mode": mode}
    inputs = {"student": part.source, "teacher": encoder.source}
    return [old.term("AffinityLoss", arguments, inputs, learns=("adapter",))]
