"""Losses of logits and labels."""

from __future__ import annotations

from typing import Any

from ._old import LostError
from ._output import Call
from ._terms import LOSSES, Old, Term

PATHS = tuple(f"{side}_module_{end}" for side in ("student", "teacher") for end in ("path", "io"))
CE_ARGUMENTS = ("label_smoothing", "ignore_index")


def _cross_entropy(old: Old) -> Call:
    arguments = {name: value for name in CE_ARGUMENTS if (value := old.number(name)) is not None}
    return Call("torch.nn.CrossEntropyLoss", arguments)


def kd(old: Old) -> list[Term]:
    """KDLoss and LogitStdKDLoss: α · CE + β · τ² · KL, one term each."""
    alpha, beta = old.number("alpha"), old.number("beta")
    if alpha is None and beta is None:
        raise LostError(old.key, "KDLoss without alpha and beta stops in torchdistill", "set alpha")
    old.only("reduction", "batchmean")
    beta = 1 - (alpha or 0) if beta is None else beta
    if not alpha:
        old.omit("there is no term of the labels", *CE_ARGUMENTS)
        return [_without_labels(old, float(beta))]
    labels = {"input": old.student.logits, "target": "batch.target"}
    entropy = Term("ce" if beta else old.name, _cross_entropy(old), labels, old.weight * alpha)
    if not beta:
        old.omit("the divergence has the weight 0", "temperature", "eps", *PATHS)
        old.exact("α = 1 is the cross-entropy alone")
        return [entropy]
    name = old.name if old.name != "ce" else "kd"
    old.exact(f"α = {alpha} is the weight of ce, β = {beta} that of {name}")
    return [entropy, Term(name, _divergence(old), old.both(), old.weight * beta)]


def _divergence(old: Old) -> Call:
    """Return KDLoss, with standardised logits if the old one has them."""
    loss = Call(f"{LOSSES}.KDLoss", {"temperature": float(old.number("temperature", 1.0))})
    if old.key.text() != "LogitStdKDLoss":
        return loss
    eps = {"eps": value} if (value := old.number("eps")) not in (None, 1e-7) else {}
    return Call(f"{LOSSES}.StandardisedLogits", {"loss": loss, **eps})


def _without_labels(old: Old, beta: float) -> Term:
    """Return the divergence alone; torchdistill omits τ² and β without labels."""
    loss, inputs, temperature = _divergence(old), old.both(), float(old.number("temperature", 1.0))
    if temperature == 1 and beta == 1:
        old.exact("the divergence alone")
        return Term(old.name, loss, inputs, old.weight)
    message = f"without labels theirs omits τ² and β; the weight is {beta}, and KDLoss has τ²"
    old.context.corrected(old.key, message, published="1/τ² in the weight, because KDLoss has τ²")
    factor = 1 / temperature**2 if old.context.as_published else beta
    return Term(old.name, loss, inputs, old.weight * factor)


def dist(old: Old) -> list[Term]:
    """DISTLoss."""
    old.only("eps", 1e-8)
    inputs = old.both()
    old.exact("DISTLoss; a constant row or column has the correlation 0 in both, and no gradient here")
    return [old.term("DISTLoss", _dist_arguments(old), inputs)]


def _dist_arguments(old: Old) -> dict[str, Any]:
    given = {name: old.number(name, 1.0) for name in ("beta", "gamma", "tau")}
    given["temperature"] = given.pop("tau")
    return {name: float(value) for name, value in given.items() if value != 1}


def dist_plus(old: Old) -> list[Term]:
    """DISTPlusLoss."""
    old.only("eps", 1e-8)
    logits, features = old.both("logit_module"), old.both("feature_module")
    weights = {name: float(value) for name in ("iota", "kappa") if (value := old.number(name, 1.0)) != 1}
    mode = old.mode(
        "their ι term is the correlation itself, which pushes features apart, and κ is over the batch; both are 1 − ρ here",
        "ι and κ as in torchdistill",
    )
    inputs = {side: [logits[side], features[side]] for side in ("student", "teacher")}
    return [old.term("DISTPlusLoss", {**_dist_arguments(old), **weights, "mode": mode}, inputs)]


def skd_instance(old: Old) -> list[Term]:
    """SKDInstanceLoss."""
    arguments = {"temperature": float(old.number("temperature", 4.0)), "mode": old.plain("mode")}
    if arguments["mode"] == "code":
        message = "theirs keeps the samples up to the batch's median confidence and drops τ² of the others; ours is the authors'"
        old.context.corrected(old.key, message)
    else:
        old.exact("SKDInstanceLoss")
    return [old.term("SKDInstanceLoss", arguments, old.both())]


def skd_direction(old: Old) -> list[Term]:
    """SKDDirectionLoss."""
    arguments = {"tikhonov": float(old.number("tikhonov", 0.1)), "mode": old.plain("mode")}
    old.exact("SKDDirectionLoss")
    return [old.term("SKDDirectionLoss", arguments, old.both())]


def sskd(old: Old) -> list[Term]:
    """SSKDLoss."""
    old.only("reduction", "batchmean")
    logits = {side: old.tap(side, "linear_module") for side in ("student", "teacher")}
    features, heads = {}, {}
    for side in ("student", "teacher"):
        path = old.path(side, "ss_module")
        part = old.side(side).part(path.text(), "head", path)
        features[side], heads[side] = part.source, part
    weights = old.plain("loss_weights", [1.0, 1.0, 1.0, 1.0])
    given = dict(zip(("ce_weight", "kd_weight", "ss_weight", "tf_weight"), weights, strict=True))
    for name, key in (("kd", "kl_temp"), ("ss", "ss_temp"), ("tf", "tf_temp")):
        given[f"{name}_temperature"] = float(old.number(key, 1.0))
    given |= {name: old.number(name) for name in ("ss_ratio", "tf_ratio")}
    for key in ("student_linear_module_io", "teacher_linear_module_io", "student_ss_module_io", "teacher_ss_module_io"):
        old.only(key, "output")
    size, own = (heads[side].settings["feat_dim"] for side in ("teacher", "student"))
    if own != size:
        raise LostError(heads["student"].place, f"a head of {own} features next to the teacher's of {size}")
    head = Call("distill_core.layers.ProjectionHead", {"features": size})
    arguments = {"teacher_head": old.objects.share("head", head, heads["teacher"].place), **given}
    # The outputs of the last linear layer are the logits.
    inputs = {side: [logits[side], features[side]] for side in ("student", "teacher")} | {"target": "batch.target"}
    if all(given[name] in (None, 0, 1) for name in ("ss_ratio", "tf_ratio")):
        old.exact("SSKDLoss, its heads inside")
    else:
        message = "of equally ranked images theirs keeps those that its sort leaves first, ours those with the higher score of the teacher"
        old.context.corrected(old.key, message)
    return [old.term("SSKDLoss", arguments, inputs, learns=("student_head",))]


def sskd_head(old: Old) -> list[Term]:
    """AuxSSKDLoss, the first stage of SSKD."""
    old.only("reduction", "mean")
    old.only("module_io", "output")
    path = old.kwargs.take("module_path")
    part = old.side("teacher").part(path.text() if path else "ss_module", "head", old.key)
    head = Call("distill_core.layers.ProjectionHead", {"features": part.settings["feat_dim"]})
    old.exact("SSKDHeadLoss, its head inside")
    arguments = {"head": old.objects.share("head", head, part.place)}
    return [old.term("SSKDHeadLoss", arguments, {"teacher": part.source}, learns=("",))]
