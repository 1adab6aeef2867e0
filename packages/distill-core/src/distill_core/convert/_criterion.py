"""The criterion of a stage: its terms, each by the converter of its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from . import _embedding_losses as embeddings
from . import _feature_losses as features
from . import _logit_losses as logits
from . import _paraphraser_losses as paraphrased
from ._context import Context
from ._old import LostError, Place
from ._output import Call
from ._sides import Side
from ._terms import Objects, Old, Term

REVIEW = "HierarchicalContextLoss"
SPARSITY = "RegularizationLoss"

LOSSES: Mapping[str, Callable[[Old], list[Term]]] = {
    "KDLoss": logits.kd,
    "LogitStdKDLoss": logits.kd,
    "DISTLoss": logits.dist,
    "DISTPlusLoss": logits.dist_plus,
    "SKDInstanceLoss": logits.skd_instance,
    "SKDDirectionLoss": logits.skd_direction,
    "AuxSSKDLoss": logits.sskd_head,
    "SSKDLoss": logits.sskd,
    "ATLoss": features.attention,
    "FSPLoss": features.flow,
    "SPKDLoss": features.similarity,
    "PKTLoss": features.probabilistic,
    "RKDLoss": features.relational,
    "AltActTransferLoss": features.boundaries,
    "VIDLoss": features.variational,
    "ChSimLoss": features.channels,
    "CCKDLoss": embeddings.congruence,
    "CRDLoss": embeddings.contrastive,
    "PADL2Loss": embeddings.adaptive,
    "SRDLoss": embeddings.simple_recipe,
    "FTLoss": paraphrased.factor,
    "KTALoss": paraphrased.adaptation,
    "AffinityLoss": paraphrased.affinity,
}
"""The losses of torchdistill → what converts them; two more are converted together with other terms."""

TORCH_LOSSES = {
    "CrossEntropyLoss",
    "MSELoss",
    "L1Loss",
    "SmoothL1Loss",
    "KLDivLoss",
    "BCEWithLogitsLoss",
    "NLLLoss",
    "HuberLoss",
}


def convert_criterion(
    context: Context, place: Place, student: Side, teacher: Side | None, objects: Objects, batch_size: int
) -> list[Term]:
    """Return the terms of a criterion; what is lost is reported."""
    kwargs = place.take("kwargs", "params")
    key = place.take("key", "type")
    if key is not None and key.text() not in ("WeightedSumLoss", "GeneralizedCustomLoss"):
        raise LostError(key, f"the criterion '{key.text()}'", "write its terms under `losses:`")
    body = kwargs if kwargs is not None else place
    terms: list[Term] = []
    for extract in (place.take("func2extract_model_loss"), body.take("func2extract_model_loss")):
        if extract is not None and extract.text() not in (
            "extract_transformers_loss",
            "extract_model_loss_dict",
            "extract_org_loss_dict",
        ):
            context.lost(extract, f"the function '{extract.text()}'", "write its terms under `losses:`")
    own = body.take("model_term", "org_term")
    if own is not None:
        terms += context.attempt(own, lambda: [_model_term(context, own, student)]) or []
    entries = body.take("sub_terms")
    olds: list[tuple[Old, Place]] = []
    for name, entry in entries.entries().items() if entries else ():
        with context.losing(entry):
            weight = float(entry.need("weight", "factor").number())
            inner = entry.need("criterion")
            old = Old(
                context,
                name,
                inner.need("key", "type"),
                inner.mapping("kwargs", "params"),
                weight,
                student,
                teacher,
                objects,
                batch_size,
            )
            olds.append((old, entry))
    terms += _grouped(context, olds)
    return _unique(terms)


def _unique(terms: list[Term]) -> list[Term]:
    """Return terms with different names."""
    seen: dict[str, int] = {}
    result = []
    for term in terms:
        name = term.name.replace(".", "_").lstrip("_")
        seen[name] = seen.get(name, 0) + 1
        result.append(replace(term, name=name if seen[name] == 1 else f"{name}_{seen[name]}"))
    return result


def _grouped(context: Context, olds: list[tuple[Old, Place]]) -> list[Term]:
    """Convert terms one by one, except those that are one loss of ours together."""
    keys = {old.name: old.key.text() for old, _ in olds}
    reviews = [old for old, _ in olds if keys[old.name] == REVIEW]
    sparsity = next((old for old, _ in olds if keys[old.name] == SPARSITY), None)
    terms: list[Term] = []
    for old, entry in olds:
        if keys[old.name] == REVIEW:
            if old is reviews[0]:
                terms += context.attempt(entry, lambda: features.review(reviews)) or []
            continue
        if old is sparsity:
            continue
        terms += context.attempt(entry, partial(_term, old, entry, sparsity)) or []
    if sparsity is not None and not any(term.loss.path.endswith("KTAutoencoderLoss") for term in terms):
        context.lost(
            sparsity.key, "RegularizationLoss without the reconstruction of a paraphraser", "write a loss of your own"
        )
        sparsity.kwargs.ignore()
    return terms


def _term(old: Old, entry: Place, sparsity: Old | None) -> list[Term]:
    key, wrapper = old.key.text(), entry.take("criterion_wrapper")
    if wrapper is None:
        if old.kwargs.take("input"):  # 0.x
            raise LostError(old.key, f"'{key}' without a wrapper")
        if key not in LOSSES:
            known = ", ".join(LOSSES)
            raise LostError(
                old.key, f"the loss '{key}' has no counterpart", f"write a loss of your own; known are {known}"
            )
        return LOSSES[key](old)
    if key not in TORCH_LOSSES:
        raise LostError(old.key, f"the loss '{key}' in a wrapper has no counterpart", "write a loss of your own")
    return _wrapped(old, wrapper, key, sparsity)


def _wrapped(old: Old, wrapper: Place, key: str, sparsity: Old | None) -> list[Term]:
    """Convert a loss of torch with the wiring of SimpleLossWrapper or DictLossWrapper."""
    kind, kwargs = wrapper.need("key", "type").text(), wrapper.mapping("kwargs", "params")
    if kind not in ("SimpleLossWrapper", "DictLossWrapper"):
        raise LostError(wrapper, f"the wrapper '{kind}' of a loss")
    source = kwargs.need("input")
    path = source.need("module_path")
    side = old.side("teacher" if _is_teacher(source) else "student")
    io = source.take("io")
    if (part := side.parts.get(path.text())) and part.kind == "paraphraser":
        if io and io.text() != "output":
            raise LostError(io, "the input of a paraphraser")
        where = kwargs.need("target")
        if _target(old, where) != part.source:
            raise LostError(where, "a reconstruction of something else than the paraphraser's input")
        return _reconstruction(old, part, sparsity)
    is_new = path.text().startswith("+")
    inner: Any = Call(f"torch.nn.{key}", _loss_arguments(old))
    target = _target(old, kwargs.need("target"))
    if is_new:
        if io is not None and io.text() != "output":
            raise LostError(io, "the input of a new module")
        return _adapted(old, side, path, inner, target)
    tap = side.tap(path.text(), io.text() if io else "output", path)
    if kind == "SimpleLossWrapper":
        old.exact(f"torch.nn.{key} of {tap} and {target}")
        return [Term(old.name, inner, {"input": tap, "target": target}, old.weight)]
    terms = []
    for output, weight in kwargs.need("weights").given().items():
        name = old.name if output == "out" else f"{old.name}_{output}"
        inputs = {"input": f"{tap}:out.{output}", "target": target}
        terms.append(Term(name, inner, inputs, old.weight * weight))
    old.exact(f"torch.nn.{key}, a term for each output")
    return terms


def _loss_arguments(old: Old) -> dict[str, Any]:
    arguments = {name: place.plain() for name, place in old.kwargs.entries().items()}
    return {name: value for name, value in arguments.items() if (name, value) != ("reduction", "mean")}


def _is_teacher(place: Place) -> bool:
    found = place.take("is_from_teacher")
    return found.flag() if found else False


def _target(old: Old, place: Place) -> str:
    labels = place.take("uses_label")
    if labels is not None and labels.flag():
        return "batch.target"
    path, io = place.need("module_path"), place.take("io")
    side = old.side("teacher" if _is_teacher(place) else "student")
    if path.text().startswith("+"):
        name = path.text()[1:]
        if io is not None and io.text() != "output":
            raise LostError(io, "the input of a new module")
        if name in side.own:
            return side.tap(name, "output", path)
        problem = "a target behind a new module" if name in side.new else f"there is no module '{name}'"
        raise LostError(path, problem, "write AdaptedLoss with this module as `teacher`")
    return side.tap(path.text(), io.text() if io else "output", path)


def _adapted(old: Old, side: Side, path: Place, loss: Any, target: str) -> list[Term]:
    """Return a term with a module that the sequence adds inside the loss."""
    module, before = side.new.get(path.text()[1:], (None, ""))
    if module is None:
        raise LostError(path, f"there is no module '{path.text()}' in 'adaptations'")
    arguments = {"loss": loss, side.name: module}
    inputs = {"student": side.tap(before, "output", path), "teacher": target}
    old.exact(f"AdaptedLoss with {module.path.rpartition('.')[2]} inside")
    averages = "sum" if loss.args.get("reduction") == "sum" else "samples"
    return [old.term("AdaptedLoss", arguments, inputs, learns=(side.name,), averages_over=averages)]


def _reconstruction(old: Old, part: Any, sparsity: Old | None) -> list[Term]:
    """Return the loss of a paraphraser, with the sparsity of another term."""
    reduction = old.plain("reduction", "mean")
    if sparsity is not None:
        return [_sparse(old, part, sparsity)] if reduction == "mean" else _refuse_sum(old)
    arguments = {
        "paraphraser": paraphrased.paraphraser(old, part),
        "reduction": None if reduction == "mean" else reduction,
    }
    old.exact("FactorAutoencoderLoss, the paraphraser inside")
    averages = "sum" if reduction == "sum" else ""
    return [
        old.term("FactorAutoencoderLoss", arguments, {"teacher": part.source}, learns=("",), averages_over=averages)
    ]


def _refuse_sum(old: Old) -> list[Term]:
    raise LostError(old.key, "a sum of squares next to RegularizationLoss", "'reduction: mean' has a counterpart")


def _sparse(old: Old, part: Any, sparsity: Old) -> Term:
    """Return the first stage of KTAAD."""
    for name, accepted in (("p", (1,)), ("io", ("output",)), ("io_type", ("output",)), ("module_io", ("output",))):
        sparsity.only(name, *accepted)
    path = sparsity.kwargs.need("module_path")
    sparsity.side("teacher" if _is_teacher(sparsity.kwargs) else "student").part(path.text(), "encoder", path)
    message = "theirs adds the 1-norm of the whole batch; here it is the mean over the samples"
    sparsity.context.corrected(sparsity.key, message, published="the 1-norm of a full batch in `sparsity`")
    factor = old.batch_size if old.context.as_published else 1
    arguments = {"translator": paraphrased.paraphraser(old, part), "sparsity": sparsity.weight * factor / old.weight}
    old.exact("KTAutoencoderLoss, the translator inside")
    return old.term("KTAutoencoderLoss", arguments, {"teacher": part.source}, learns=("",))


def _model_term(context: Context, place: Place, student: Side) -> Term:
    """Return the loss that the model reports itself."""
    weight = place.take("weight", "factor")
    number = float(weight.number()) if weight else 1.0
    if inner := place.take("criterion"):  # 0.x
        key = inner.need("key", "type").text()
        given = inner.mapping("kwargs", "params").given()
        arguments = {name: value for name, value in given.items() if (name, value) != ("reduction", "mean")}
        context.exact(inner, f"torch.nn.{key} of the labels")
        return Term(
            "ce", Call(f"torch.nn.{key}", arguments), {"input": student.logits, "target": "batch.target"}, number
        )
    if context.task in ("glue", "text"):
        context.exact(place, "the loss of transformers, by its name")
        name = "student" if context.text.loss.endswith("ScoreLoss") else "input"
        return Term("task", Call(context.text.loss, {}), {name: student.logits, "target": "batch.target"}, number)
    context.exact(place, "ReportedLoss")
    return Term("reported", Call("distill_core.losses.ReportedLoss", {}), {"student": student.name}, number)
