"""Calls of our losses, and torchdistill's own formulas, with the inputs of the golden files of torchdistill."""

from __future__ import annotations

from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.losses import (
    CRDLoss,
    DISTLoss,
    DISTPlusLoss,
    FSPLoss,
    KDLoss,
    SKDInstanceLoss,
    SSKDLoss,
    StandardisedLogits,
    VIDLoss,
    channel_correlation,
    correlation,
    log_power_distance,
    rotation_similarities,
)

from .golden import Golden, fill


def both(case: Golden, loss: nn.Module) -> Tensor:
    value: Tensor = loss(case["student"], case["teacher"])
    return value


def with_cross_entropy(case: Golden, divergence: nn.Module) -> Tensor:
    """Return the loss of logits and labels. Without targets, and in theirs at alpha = 0, it is the divergence without τ²."""
    alpha, beta, temperature = (case.settings[name] for name in ("alpha", "beta", "temperature"))
    if "target" not in case.tensors:
        return both(case, divergence) / temperature**2
    beta = 1 - alpha if beta is None else beta
    return alpha * F.cross_entropy(case["student"], case["target"]) + beta * both(case, divergence)


def kd(case: Golden) -> Tensor:
    return with_cross_entropy(case, KDLoss(**case.options("temperature")))


def standardised_kd(case: Golden) -> Tensor:
    return with_cross_entropy(case, StandardisedLogits(KDLoss(**case.options("temperature"))))


def vid(case: Golden) -> Tensor:
    middle, channels = case["first"].shape
    loss = VIDLoss(middle, 5.0, 1e-5, channels, case["teacher"].shape[1])
    weights = {f"{name}__weight": case[name] for name in ("first", "second", "third")}
    return both(case, fill(loss, **weights, variance__alpha=case["alpha"]))


def crd(case: Golden) -> Tensor:
    loss = CRDLoss(**case.settings)
    loss.student_embedding, loss.teacher_embedding = nn.Identity(), nn.Identity()
    fill(loss, **{name: case[name] for name in ("student_bank", "teacher_bank")})
    values = []
    for student, teacher, index, negatives in zip(
        case["student"], case["teacher"], case["index"], case["negatives"], strict=True
    ):
        with patch.object(loss, "_draw", lambda *_, negatives=negatives: negatives):
            values.append(loss(student, teacher, index))
    return torch.stack(values).sum()


def rotations(case: Golden) -> Tensor:
    images = len(case["student"]) // 4
    similarities = rotation_similarities(case["student"].view(images, 4, -1))
    return F.cross_entropy(similarities, torch.arange(images).repeat_interleave(3))


def sskd(case: Golden) -> Tensor:
    ratios = case.options("ss_ratio", "tf_ratio")
    temperatures = {
        f"{name}_temperature": case.settings[key]
        for name, key in (("kd", "kl_temp"), ("ss", "ss_temp"), ("tf", "tf_temp"))
    }
    loss = SSKDLoss(nn.Identity(), *case.settings["loss_weights"], **temperatures, **ratios)
    loss.student_head = nn.Identity()
    student, teacher = ([case[side], case[f"{side}_embedding"]] for side in ("student", "teacher"))
    value: Tensor = loss(student, teacher, case["target"])
    return value


def dist(case: Golden) -> Tensor:
    return both(case, DISTLoss(case.settings["beta"], case.settings["gamma"], case.settings["tau"]))


def srd(case: Golden) -> Tensor:
    temperature = case.settings["temperature"]
    features = log_power_distance(case["student"], case["teacher"], case.settings["exponent"])
    return 2 * features + KDLoss(temperature)(case["student_logits"], case["teacher_logits"]) / temperature**2


def channel_similarity(case: Golden) -> Tensor:
    ours, theirs = (channel_correlation(case[side]) for side in ("student", "teacher"))
    return F.mse_loss(ours, theirs) * ours.shape[1] / len(ours)


def p_norm(case: Golden) -> Tensor:
    return torch.linalg.vector_norm(case["student"], ord=case.settings["p"])


def sparsity(case: Golden) -> Tensor:
    """Return the second term of `KTAutoencoderLoss`, by its formula."""
    return case["student"].flatten(1).abs().sum(1).mean()


def fsp(case: Golden) -> Tensor:
    student, teacher = ([case[f"{side}_{end}"] for end in ("first", "second")] for side in ("student", "teacher"))
    value: Tensor = FSPLoss("paper")(student, teacher)
    return value


def fsp_columns(case: Golden) -> Tensor:
    flows = []
    for side in ("student", "teacher"):
        first, second = case[f"{side}_first"], case[f"{side}_second"]
        first = F.adaptive_max_pool2d(first, second.shape[2:])
        flows.append(torch.einsum("bchw,bdhw->bcd", first, second) / second.shape[2:].numel())
    return (flows[0] - flows[1]).norm(dim=1).sum() / len(flows[0])


def congruence(case: Golden) -> Tensor:
    ours, theirs = (correlation(case[side], **case.settings) for side in ("student", "teacher"))
    return F.mse_loss(ours, theirs)


def spkd_rows(case: Golden) -> Tensor:
    grams = [case[side].flatten(1) @ case[side].flatten(1).T for side in ("student", "teacher")]
    ours, theirs = (gram / gram.abs().sum(1, keepdim=True) for gram in grams)
    return F.mse_loss(ours, theirs)


def affinity_by_channel(case: Golden) -> Tensor:
    ours, theirs = (F.normalize(case[side].flatten(2), dim=2) for side in ("student", "teacher"))
    difference = ours[..., None] * ours[:, :, None] - theirs[..., None] * theirs[:, :, None]
    return difference.flatten(2).norm(dim=2).sum(1).mean() / ours.shape[2]


def dist_plus(case: Golden) -> Tensor:
    sides = [[case[f"{side}_logits"], case[f"{side}_feature"]] for side in ("student", "teacher")]
    weights = [case.settings[name] for name in ("beta", "gamma", "iota", "kappa", "tau")]
    value: Tensor = DISTPlusLoss(*weights)(*sides)
    return value


def dist_plus_axes(case: Golden) -> Tensor:
    beta, gamma, iota, kappa, tau = (case.settings[name] for name in ("beta", "gamma", "iota", "kappa", "tau"))
    ours, theirs = (case[f"{side}_feature"].flatten(2) for side in ("student", "teacher"))
    logits = DISTLoss(beta, gamma, tau)(case["student_logits"], case["teacher_logits"])
    over_channels = pearson(ours, theirs, 1).mean()
    over_batch = pearson(ours.sum(1), theirs.sum(1), 0).mean()
    return logits + iota * over_channels + kappa * (1 - over_batch)


def pearson(first: Tensor, second: Tensor, dim: int) -> Tensor:
    return F.cosine_similarity(first - first.mean(dim, keepdim=True), second - second.mean(dim, keepdim=True), dim=dim)


def skd_instance(case: Golden) -> Tensor:
    return both(case, SKDInstanceLoss(**case.settings))


def confident_samples(case: Golden) -> Tensor:
    """Return τ² · mean over samples of the divergences, 0 for samples above the median confidence."""
    temperature = case.settings["temperature"]
    p, log_q = case["teacher"].div(temperature).softmax(1), case["student"].div(temperature).log_softmax(1)
    confidence = case["teacher"].softmax(1).amax(1)
    kept = confidence <= confidence.median()
    return temperature**2 * (F.kl_div(log_q, p, reduction="none").sum(1) * kept).mean()
