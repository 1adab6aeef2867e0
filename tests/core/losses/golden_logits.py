"""Calls of the losses of logits with the inputs of the golden files."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distill_core.losses import (
    CTKDLoss,
    DISTLoss,
    DKDLoss,
    KDLoss,
    MLKDLoss,
    NKDLoss,
    RLDLoss,
    SDDLoss,
    SKDDirectionLoss,
    SKDInstanceLoss,
    StandardisedLogits,
    TfKDLoss,
    TTMLoss,
    USKDLoss,
    WKDLLoss,
    WSLDLoss,
    WTTMLoss,
    cosine_cost,
    target_enhanced,
)

from .golden import Call, Golden, fill


def dist(case: Golden) -> Tensor:
    return DISTLoss(**case.settings)(case["student"], case["teacher"])


def nkd(case: Golden) -> Tensor:
    return NKDLoss(**case.settings)(case["student"], case["teacher"], case["target"])


def uskd(case: Golden) -> Tensor:
    classes, channels = case["weight"].shape
    loss = USKDLoss(classes, **case.settings, channels=channels, mode="code")
    fill(loss, head__weight=case["weight"], head__bias=case["bias"])
    return loss([case["student"], case["student_feature"]], case["target"])


def mlkd(case: Golden) -> Tensor:
    student, teacher = ([case[f"{side}_weak"], case[f"{side}_strong"]] for side in ("student", "teacher"))
    return case.settings["weight"] * MLKDLoss(mode="code")(student, teacher)


def lskd_mlkd(case: Golden) -> Tensor:
    student, teacher = ([case[f"{side}_weak"], case[f"{side}_strong"]] for side in ("student", "teacher"))
    return case.settings["weight"] * MLKDLoss(mode="code", standardise=True)(student, teacher)


def ctkd(case: Golden) -> Tensor:
    loss = fill(CTKDLoss(**case.settings), theta=case["theta"].squeeze())
    value = loss(case["student"], case["teacher"])
    (theta,) = torch.autograd.grad(value, loss.theta, retain_graph=True)
    torch.testing.assert_close(theta, case.gradient["theta"].squeeze(), rtol=1e-7, atol=1e-12)
    return value


def wkdl(case: Golden) -> Tensor:
    cost = cosine_cost(case["classifier"], case.settings["sharpening"])
    loss = WKDLLoss(cost, **case.options("gamma", "temperature", "epsilon", "steps")).double()
    return loss(case["student"], case["teacher"], case["target"])


def ofa(case: Golden) -> Tensor:
    temperature = case.settings.get("temperature", 1.0)
    student, teacher = case["student"] / temperature, case["teacher"] / temperature
    return target_enhanced(student, teacher, case["target"], case.settings["gamma"], "code").mean()


def sdd(case: Golden) -> Tensor:
    heads = []
    for side in ("student", "teacher"):
        weight, bias = case[f"{side}_weight"], case[f"{side}_bias"]
        heads.append(fill(nn.Linear(*weight.shape[::-1]), weight=weight, bias=bias))
    loss = SDDLoss(**case.options("scales", "base", "temperature", "alpha", "beta"))
    return loss([case["student"], heads[0]], [case["teacher"], heads[1]], case["target"])


CALLS: dict[str, Call] = {
    "kd": lambda case: KDLoss(**case.settings)(case["student"], case["teacher"]),
    "kd_maps": lambda case: KDLoss(**case.settings, reduction="mean")(case["student"], case["teacher"]),
    "dkd": lambda case: DKDLoss(**case.settings)(case["student"], case["teacher"], case["target"]),
    "nkd": nkd,
    "nkd_soft_targets": nkd,
    "uskd": uskd,
    "uskd_soft_targets": uskd,
    "rld": lambda case: RLDLoss(**case.settings)(case["student"], case["teacher"], case["target"]),
    "lskd_kd": lambda case: StandardisedLogits(KDLoss(**case.settings))(case["student"], case["teacher"]),
    "lskd_dkd": lambda case: StandardisedLogits(DKDLoss(**case.settings))(
        case["student"], case["teacher"], case["target"]
    ),
    "mlkd": mlkd,
    "lskd_mlkd": lskd_mlkd,
    "dist": dist,
    "dist_maps": dist,
    "ttm": lambda case: TTMLoss(**case.settings)(case["student"], case["teacher"]),
    "wttm": lambda case: WTTMLoss(**case.settings)(case["student"], case["teacher"]),
    "wsld": lambda case: WSLDLoss(**case.settings)(case["student"], case["teacher"], case["target"]),
    "skd_instance": lambda case: SKDInstanceLoss(**case.options("temperature"), mode="code")(
        case["student"], case["teacher"]
    ),
    "skd_direction": lambda case: SKDDirectionLoss(**case.options("tikhonov"), mode="code")(
        case["student"], case["teacher"]
    ),
    "ctkd": ctkd,
    "tfkd": lambda case: TfKDLoss(correct=0.99, **case.settings, mode="code")(case["student"], case["target"]),
    "wkdl": wkdl,
    "ofa": ofa,
    "ofa_soft_targets": ofa,
    "sdd": sdd,
}
