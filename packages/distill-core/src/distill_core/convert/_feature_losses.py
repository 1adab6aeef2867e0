"""Losses of features, with the modules of the wrappers inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._old import LostError, Place
from ._sides import Part
from ._terms import Old, Term, numbered, pairs


def _pair_tap(old: Old, entry: Place, key: str) -> str:
    found = entry.need(key)
    path, io = found.need("path"), found.take("io")
    return old.side(key.partition("_")[0]).tap(path.text(), io.text() if io else "output", path)


def part_of(old: Old, side: str, path: Place, kind: str) -> Part:
    """Return a module of a wrapper."""
    return old.side(side).part(path.text(), kind, path)


def attention(old: Old) -> list[Term]:
    """ATLoss."""
    mode, entries = old.number("mode", "code"), pairs(old.kwargs.need("at_pairs"))
    taps = [
        ({side: _pair_tap(old, entry, side) for side in ("student", "teacher")}, weight) for entry, weight in entries
    ]
    old.exact(f"ATLoss, form of the {mode}")
    arguments = {"mode": "code"} if mode == "code" else {}
    if len({weight for _, weight in taps}) == 1:
        inputs = {side: [tap[side] for tap, _ in taps] for side in ("student", "teacher")}
        return [old.term("ATLoss", arguments, inputs, weight=old.weight * taps[0][1])]
    return [
        old.term("ATLoss", arguments, tap, name=numbered(old.name, number, len(taps)), weight=old.weight * weight)
        for number, (tap, weight) in enumerate(taps, start=1)
    ]


def flow(old: Old) -> list[Term]:
    """FSPLoss."""
    entries = pairs(old.kwargs.need("fsp_pairs"))
    mode = old.mode(
        "theirs adds norms of columns that are not squared; the paper squares them",
        "norms of columns, as in torchdistill",
    )
    terms = []
    if len({weight for _, weight in entries}) == 1:
        inputs: dict[str, Any] = {
            side: [_pair_tap(old, entry, f"{side}_{end}") for entry, _ in entries for end in ("first", "second")]
            for side in ("student", "teacher")
        }
        return [old.term("FSPLoss", {"mode": mode}, inputs, weight=old.weight * entries[0][1])]
    for number, (entry, weight) in enumerate(entries, start=1):
        inputs = {
            side: [_pair_tap(old, entry, f"{side}_{end}") for end in ("first", "second")]
            for side in ("student", "teacher")
        }
        name = numbered(old.name, number, len(entries))
        terms.append(old.term("FSPLoss", {"mode": mode}, inputs, name=name, weight=old.weight * weight))
    return terms


def similarity(old: Old) -> list[Term]:
    """SPKDLoss."""
    old.only("reduction", "batchmean")
    mode = old.mode("theirs divides rows by their 1-norm, the paper by their 2-norm", "rows with a 1-norm of 1")
    return [old.term("SPKDLoss", {"mode": mode}, old.both("output"))]


def probabilistic(old: Old) -> list[Term]:
    """PKTLoss."""
    eps = old.number("eps", 1e-7)
    old.exact("PKTLoss, form of the code")
    return [old.term("PKTLoss", {"eps": None if eps == 1e-7 else eps, "mode": "code"}, old.both())]


def relational(old: Old) -> list[Term]:
    """RKDLoss."""
    old.only("reduction", "mean")
    arguments = {"distance_weight": float(old.number("dist_factor")), "angle_weight": float(old.number("angle_factor"))}
    old.exact("RKDLoss")
    return [old.term("RKDLoss", arguments, old.both("output"))]


def _taps_of_pairs(old: Old, kind: str) -> list[tuple[Part, str, float]]:
    """Return module, teacher's tap and weight of each of `feature_pairs`."""
    found = []
    for entry, weight in pairs(old.kwargs.need("feature_pairs")):
        student = entry.need("student")
        path, io = student.need("path"), student.take("io")
        if io and io.text() != "output":
            raise LostError(io, f"the input of a {kind}")
        found.append((part_of(old, "student", path, kind), _pair_tap(old, entry, "teacher"), weight))
    return found


def one_by_one(part: Part, settings: Mapping[str, Any], *, size: int = 1) -> None:
    """Refuse a convolution that is not the one inside ours."""
    usual = {"kernel_size": size, "stride": 1, "padding": size // 2}
    settings.get("bias")  # a batch normalisation follows, or ours has one too
    for name, value in usual.items():
        if settings.get(name, 1 if name != "padding" else 0) not in (value, [value, value]):
            raise LostError(
                part.place, f"a convolution with '{name}: {settings.get(name)}'", "write a loss of your own"
            )


def _linear(part: Part) -> Any:
    """Return the arguments of a linear layer, with a bias as ours has."""
    if not part.settings.get("bias", True):
        raise LostError(part.place, "a linear layer without bias", "write a loss of your own")
    part.settings.get("out_features")
    return part.settings


def boundaries(old: Old) -> list[Term]:
    """AltActTransferLoss of DAB, its connectors inside."""
    margin = float(old.number("margin", 1.0))
    old.only("reduction", "mean", "batchmean")
    terms, found = [], _taps_of_pairs(old, "connector")
    for number, (part, teacher, weight) in enumerate(found, start=1):
        settings = part.settings["conv2d_kwargs"]
        one_by_one(part, settings)
        if not part.settings.get("bn2d_kwargs", {}).get("num_features"):
            raise LostError(part.place, "a connector without batch normalisation", "write a loss of your own")
        arguments = {
            "margin": None if margin == 1 else margin,
            "student_channels": settings["in_channels"],
            "teacher_channels": settings["out_channels"],
        }
        inputs = {"student": part.source, "teacher": teacher}
        name = numbered(old.name, number, len(found))
        terms.append(old.term("DABLoss", arguments, inputs, name=name, weight=old.weight * weight, learns=("",)))
    old.exact(f"{len(terms)} terms of DABLoss, each with its connector")
    return terms


def variational(old: Old) -> list[Term]:
    """VIDLoss, its regressors inside."""
    old.number("margin")
    terms, found = [], _taps_of_pairs(old, "regressor")
    for number, (part, teacher, weight) in enumerate(found, start=1):
        settings = part.settings.get("kwargs") or part.settings.get("regressor_kwargs")
        if settings is None:
            raise LostError(part.place, "a regressor without 'kwargs'")
        arguments = {
            "middle_channels": settings["middle_channels"],
            "initial_variance": None if settings["init_pred_var"] == 5 else settings["init_pred_var"],
            "eps": None if settings["eps"] == 1e-5 else settings["eps"],
            "student_channels": settings["in_channels"],
            "teacher_channels": settings["out_channels"],
        }
        inputs = {"student": part.source, "teacher": teacher}
        name = numbered(old.name, number, len(found))
        terms.append(old.term("VIDLoss", arguments, inputs, name=name, weight=old.weight * weight, learns=("",)))
    old.exact(f"{len(terms)} terms of VIDLoss, each with its regressor")
    return terms


def channels(old: Old) -> list[Term]:
    """ChSimLoss of ICKD, its embeddings inside."""
    terms, found = [], _taps_of_pairs(old, "embedding")
    mode = old.mode(
        "theirs also divides by the batch and embeds with a 3×3 convolution; the weight is divided instead, "
        "and the embedding is the paper's 1×1",
        "divided by the batch, with a 3×3 convolution",
    )
    for number, (part, teacher, weight) in enumerate(found, start=1):
        sizes = {
            "student_channels": part.settings.get("in_channels", 512),
            "teacher_channels": part.settings.get("out_channels", 128),
        }
        factor = 1.0 if mode else 1 / old.batch_size
        arguments = {**sizes, "mode": mode or "code"}
        inputs = {"student": part.source, "teacher": teacher}
        name = numbered(old.name, number, len(found))
        terms.append(
            old.term("ICKDLoss", arguments, inputs, name=name, weight=old.weight * weight * factor, learns=("",))
        )
    return terms


def congruence(old: Old) -> list[Term]:
    """CCKDLoss, its embeddings inside."""
    old.only("reduction", "batchmean")
    paths = {side: old.path(side, "linear") for side in ("student", "teacher")}
    parts = {side: part_of(old, side, path, "linear") for side, path in paths.items()}
    kernel = old.kwargs.need("kernel_config", "kernel_params")
    kind = kernel.need("type", "key").text()
    options = {name: place.plain() for name, place in kernel.entries().items() if name in ("gamma", "max_p")}
    arguments = {
        "dim": parts["student"].settings["out_features"],
        "kernel": None if kind == "gaussian" else kind,
        "gamma": options.get("gamma"),
        "order": options.get("max_p"),
        **{f"{side}_features": _linear(part)["in_features"] for side, part in parts.items()},
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
        empty.text()
    for key in ("student_norm_module_io", "teacher_norm_module_io"):
        old.only(key, "output")
    old.only("student_empty_module_io", "input")
    size = old.number("num_samples")
    old.only("output_size", size)
    temperature, momentum = old.number("temperature", 0.07), old.number("momentum", 0.5)
    arguments = {
        "num_samples": size,
        "dim": old.number("input_size"),
        "num_negatives": old.number("num_negative_samples"),
        "temperature": temperature,
        "momentum": momentum,
        **{f"{side}_features": _linear(part)["in_features"] for side, part in parts.items()},
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
        norm.get("num_features")
        if norm.get("affine", True) or norm.get("eps") != 1e-4:
            raise LostError(parts[side].place, "a normalisation other than eps 1e-4 and affine false")
    linear = parts["student"].settings["linear"]
    if linear is None:
        raise LostError(parts["student"].place, "a student without a projection")
    linear.get("bias")  # a batch normalisation follows
    sizes = {"student_channels": linear["in_features"], "teacher_channels": linear["out_features"]}
    arguments = {"exponent": None if exponent == 4 else exponent, **sizes}
    inputs = {side: part.source for side, part in parts.items()}
    logits = {side: old.tap(side, "linear_module") for side in ("student", "teacher")}
    old.exact("2 · SRDLoss and the divergence without τ²")
    return [
        old.term("SRDLoss", arguments, inputs, weight=2 * old.weight, learns=("",)),
        old.term("KDLoss", {"temperature": temperature}, logits, name="kd", weight=old.weight / temperature**2),
    ]


def review(olds: list[Old]) -> list[Term]:
    """Convert the HierarchicalContextLoss terms of a stage to one KRLoss, its fusions inside."""
    first, levels = olds[0], []
    for old in olds:
        old.only("reduction", "mean")
        old.only("output_sizes", [4, 2, 1])
        old.only("student_module_io", "output")
        path = old.path("student", "module")
        part = part_of(old, "student", path, "fusion")
        for size in ("in_channels", "out_channels"):
            part.settings.get(size)  # inferred
        levels.append((int(path.text().rpartition(".")[2]), part, old.tap("teacher"), old.weight))
        old.exact("a level of KRLoss, its fusion inside")
    levels.sort(key=lambda level: -level[0])
    if [level[0] for level in levels] != list(range(len(levels)))[::-1]:
        raise LostError(first.key, "knowledge review that does not match every fusion")
    if len({weight for *_, weight in levels}) > 1:
        raise LostError(first.key, "levels of knowledge review with different weights", "write a loss of your own")
    middle = {level[1].settings.get("mid_channels") for level in levels}
    arguments = {"levels": len(levels), "middle_channels": middle.pop()}
    if middle:
        raise LostError(first.key, "fusions with different numbers of middle channels")
    inputs = {"student": [level[1].source for level in levels], "teacher": [level[2] for level in levels]}
    return [first.term("KRLoss", arguments, inputs, name="kr", learns=("",))]
