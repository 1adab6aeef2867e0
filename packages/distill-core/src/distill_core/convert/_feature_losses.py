"""Losses of features, with the modules of the wrappers inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    mode, entries = old.plain("mode", "code"), pairs(old.kwargs.need("at_pairs"))
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
    for name, value in usual.items():
        if settings.get(name, 1 if name != "padding" else 0) not in (value, [value, value]):
            raise LostError(
                part.place, f"a convolution with '{name}: {settings.get(name)}'", "write a loss of your own"
            )


def _adapted_terms(
    old: Old, kind: str, loss: str, settings: Callable[[Part], Mapping[str, Any]], *, factor: float = 1.0
) -> list[Term]:
    """Return a term for each of `feature_pairs`, with the module of the wrapper inside its loss.

    Args:
        old: The old loss.
        kind: What the wrapper's module is.
        loss: The name of ours.
        settings: Returns the arguments of ours.
        factor: Factor of all weights.
    """
    terms, found = [], _taps_of_pairs(old, kind)
    for number, (part, teacher, weight) in enumerate(found, start=1):
        name = numbered(old.name, number, len(found))
        options = {"name": name, "weight": old.weight * weight * factor, "learns": ("",)}
        terms.append(old.term(loss, settings(part), {"student": part.source, "teacher": teacher}, **options))
    return terms


def _other_than(value: Any, default: Any) -> Any:
    return None if value == default else value


def boundaries(old: Old) -> list[Term]:
    """AltActTransferLoss of DAB, its connectors inside."""
    margin = float(old.number("margin", 1.0))
    old.only("reduction", "mean", "batchmean")

    def settings(part: Part) -> dict[str, Any]:
        convolution = part.settings["conv2d_kwargs"]
        one_by_one(part, convolution)
        convolution.omit("bias", "a batch normalisation follows")
        normalisation = part.settings.get("bn2d_kwargs")
        if not normalisation:
            raise LostError(part.place, "a connector without batch normalisation", "write a loss of your own")
        normalisation.only("num_features", convolution["out_channels"])
        sizes = {"student_channels": convolution["in_channels"], "teacher_channels": convolution["out_channels"]}
        return {"margin": _other_than(margin, 1), **sizes}

    terms = _adapted_terms(old, "connector", "DABLoss", settings)
    old.exact(f"{len(terms)} terms of DABLoss, each with its connector")
    return terms


def variational(old: Old) -> list[Term]:
    """VIDLoss, its regressors inside."""
    if margin := old.kwargs.take("margin"):
        margin.omit("torchdistill does not read it")

    def settings(part: Part) -> dict[str, Any]:
        given = part.settings.get("kwargs") or part.settings.get("regressor_kwargs")
        if given is None:
            raise LostError(part.place, "a regressor without 'kwargs'")
        return {
            "middle_channels": given["middle_channels"],
            "initial_variance": _other_than(given["init_pred_var"], 5),
            "eps": _other_than(given["eps"], 1e-5),
            "student_channels": given["in_channels"],
            "teacher_channels": given["out_channels"],
        }

    terms = _adapted_terms(old, "regressor", "VIDLoss", settings)
    old.exact(f"{len(terms)} terms of VIDLoss, each with its regressor")
    return terms


def channels(old: Old) -> list[Term]:
    """ChSimLoss of ICKD, its embeddings inside."""
    mode = old.mode(
        "theirs also divides by the batch and embeds with a 3×3 convolution; the weight is divided instead, "
        "and the embedding is the paper's 1×1",
        "divided by the batch, with a 3×3 convolution",
    )

    def settings(part: Part) -> dict[str, Any]:
        sizes = {"student": part.settings.get("in_channels", 512), "teacher": part.settings.get("out_channels", 128)}
        return {**{f"{side}_channels": size for side, size in sizes.items()}, "mode": mode or "code"}

    return _adapted_terms(old, "embedding", "ICKDLoss", settings, factor=1.0 if mode else 1 / old.batch_size)


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
            part.settings.omit(size, "it is inferred from the maps")
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
