"""Calls of the losses of logits with the inputs of the golden files."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distill_core.losses import (
    CTKDLoss,
    DeiTLoss,
    DISTLoss,
    DKDLoss,
    KDLoss,
    MLKDLoss,
    NKDLoss,
    OFALogitsLoss,
    OFALoss,
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
    return OFALogitsLoss(**case.settings)(case["student"], case["teacher"], case["target"])


LAYERS = {"0": ["0"], "1": ["1"], "2": ["1", "norm"], "4": ["3"], "5": ["4"], "6": ["4", "norm"]}
"""Layers of the authors' block, where normalisation and the convolution before it are two, and ours."""


def ofa_heads(case: Golden) -> Tensor:
    """Return the sum over stages 3 and 4, and the weighted loss of the logits, as in the authors' training step."""
    *gammas, last = case.settings["gamma"]
    features = [case[f"student_{stage}"] for stage in (3, 4)]
    width = max(case.settings["dim_student"], case.settings["dim_teacher"])
    loss = OFALoss(case["teacher"].shape[1], [x.shape[1] for x in features], gammas, width=width)
    values = {}
    for name, value in case.tensors.items():
        if name[0].isdigit():  # 3.0.op.5.weight: stage 3, block 0, layer 5; 3.3.bias: linear layer of stage 3
            stage, layer, *rest = name.replace(".op", "").split(".")
            place = ["linear"] if layer == "3" else ["body", layer]
            rest = [*LAYERS[rest[0]], *rest[1:]] if len(rest) == 2 else rest
            values["__".join(["heads", str(int(stage) - 3), *place, *rest])] = value
    fill(loss, **values)
    target = case["target"]
    final = OFALogitsLoss(last)(case["student"], case["teacher"], target)
    return loss(features, case["teacher"], target) + case.settings["kd_weight"] * final


def sdd(case: Golden) -> Tensor:
    heads = []
    for side in ("student", "teacher"):
        weight, bias = case[f"{side}_weight"], case[f"{side}_bias"]
        heads.append(fill(nn.Linear(*weight.shape[::-1]), weight=weight, bias=bias))
    loss = SDDLoss(**case.options("scales", "base", "temperature", "alpha", "beta"))
    return loss([case["student"], heads[0]], [case["teacher"], heads[1]], case["target"])


def deit(case: Golden) -> Tensor:
    alpha, classes = case.settings["alpha"], case["teacher"].shape[1]
    tokens = [case["student_class"], case["student_distillation"]]
    value = DeiTLoss(**case.settings)(tokens, case["teacher"], case["target"])
    if case.settings["mode"] == "hard":
        return value
    teaching = DeiTLoss(**{**case.settings, "alpha": 1.0})(tokens, case["teacher"], case["target"])
    return value - alpha * teaching * (1 - 1 / classes)  # theirs is a mean over classes, too


CALLS: dict[str, Call] = {
    "deit": deit,
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
    "ofa_heads": ofa_heads,
    "ofa_soft_targets": ofa,
    "sdd": sdd,
}
