"""Losses of embeddings and pooled features, with the linear layers and banks of the wrappers inside."""

from __future__ import annotations

from collections.abc import Mapping

from ._feature_losses import part_of
from ._given import Given
from ._old import LostError
from ._sides import Part
from ._terms import Old, Term


def _features(old: Old, parts: Mapping[str, Part], size: int) -> dict[str, int]:
    """Return the features that the linear layers take.

    Raises:
        LostError: A layer is another than ours, or its embedding has another length.
    """
    for part in parts.values():
        if not isinstance(part.settings, Given):
            raise LostError(part.place, "a linear layer without 'linear_kwargs'")
        part.settings.only("bias", True)
        part.settings.only("out_features", size)
    old.context.exact(old.key, f"embeddings of {size} values")
    return {f"{side}_features": part.settings["in_features"] for side, part in parts.items()}


def congruence(old: Old) -> list[Term]:
    """CCKDLoss, its embeddings inside."""
    old.only("reduction", "batchmean")
    paths = {side: old.path(side, "linear") for side in ("student", "teacher")}
    parts = {side: part_of(old, side, path, "linear") for side, path in paths.items()}
    kernel = old.kwargs.need("kernel_config", "kernel_params")
    kind = kernel.need("type", "key").text()
    options = {name: place.plain() for name, place in kernel.entries().items() if name in ("gamma", "max_p")}
    size = parts["student"].settings["out_features"]
    arguments = {
        "dim": size,
        "kernel": None if kind == "gaussian" else kind,
        "gamma": options.get("gamma"),
        "order": options.get("max_p"),
        **_features(old, parts, size),
    }
    arguments["mode"] = old.mode(
        "theirs is the norm of the difference over B², of embeddings of any length; the paper squares it, and its kernel "
        "needs length 1",
        "the norm over B², of embeddings of any length",
    )
    inputs = {side: part.source for side, part in parts.items()}
    return [old.term("CCKDLoss", arguments, inputs, learns=("",))]


def contrastive(old: Old) -> list[Term]:
    """CRDLoss, its embeddings and banks inside."""
    old.only("eps", 1e-7)
    paths = {side: old.path(side, "norm_module") for side in ("student", "teacher")}
    parts = {side: part_of(old, side, path, "normalizer") for side, path in paths.items()}
    if empty := old.kwargs.take("student_empty_module_path"):
        part_of(old, "student", empty, "empty")
    for key in ("student_norm_module_io", "teacher_norm_module_io"):
        old.only(key, "output")
    old.only("student_empty_module_io", "input")
    size = old.number("num_samples")
    old.only("output_size", size)
    temperature, momentum = old.number("temperature", 0.07), old.number("momentum", 0.5)
    if old.context.num_negatives is not None:
        old.only("num_negative_samples", old.context.num_negatives)
    dim = old.number("input_size")
    arguments = {
        "num_samples": size,
        "dim": dim,
        "num_negatives": old.number("num_negative_samples"),
        "temperature": temperature,
        "momentum": momentum,
        **_features(old, parts, dim),
    }
    old.exact("CRDLoss, its embeddings and banks inside; negatives are of other classes")
    inputs = {side: part.source for side, part in parts.items()} | {"index": "batch.index", "target": "batch.target"}
    return [old.term("CRDLoss", arguments, inputs, learns=("",))]


def adaptive(old: Old) -> list[Term]:
    """PADL2Loss, its variance branch inside."""
    old.only("reduction", "mean")
    old.only("module_io", "output")
    path = old.kwargs.take("module_path")
    part = old.student.part(path.text() if path else "var_estimator", "variance", path or old.key)
    eps = old.number("eps", 1e-6)
    arguments = {"eps": None if eps == 1e-6 else eps, "features": part.settings["feat_dim"]}
    old.exact("PADL2Loss, its variance branch inside")
    return [old.term("PADL2Loss", arguments, old.both("embed_module"), learns=("",))]


def simple_recipe(old: Old) -> list[Term]:
    """SRDLoss: 2 · log Σ and KL."""
    old.only("reduction", "batchmean")
    exponent, temperature = float(old.number("exponent", 1.0)), float(old.number("temperature", 1.0))
    paths = {side: old.path(side, "feature_module") for side in ("student", "teacher")}
    parts = {side: part_of(old, side, path, "norm") for side, path in paths.items()}
    for side in ("student", "teacher"):
        old.only(f"{side}_feature_module_io", "output")
        norm = parts[side].settings["norm"]
        if norm.get("affine", True) or norm.get("eps") != 1e-4:
            raise LostError(parts[side].place, "a normalisation other than eps 1e-4 and affine false")
    linear = parts["student"].settings["linear"]
    if linear is None:
        raise LostError(parts["student"].place, "a student without a projection")
    linear.omit("bias", "a batch normalisation follows")
    if parts["teacher"].settings["linear"] is not None:
        raise LostError(parts["teacher"].place, "a teacher with a projection", "write a loss of your own")
    for part in parts.values():
        part.settings["norm"].only("num_features", linear["out_features"])
    sizes = {"student_channels": linear["in_features"], "teacher_channels": linear["out_features"]}
    arguments = {"exponent": None if exponent == 4 else exponent, **sizes}
    inputs = {side: part.source for side, part in parts.items()}
    logits = {side: old.tap(side, "linear_module") for side in ("student", "teacher")}
    old.exact("2 · SRDLoss and the divergence without τ²")
    return [
        old.term("SRDLoss", arguments, inputs, weight=2 * old.weight, learns=("",)),
        old.term("KDLoss", {"temperature": temperature}, logits, name="kd", weight=old.weight / temperature**2),
    ]
