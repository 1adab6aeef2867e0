"""Calls of the losses of features with the inputs of the golden files."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor, nn

from distill_core.layers import Paraphraser, ProjectionHead, Translator
from distill_core.losses import (
    ATLoss,
    CATKDLoss,
    CLIPKDLoss,
    CRDLoss,
    FSPLoss,
    FTLoss,
    ICKDLoss,
    ITRDLoss,
    KRLoss,
    MGDLoss,
    NSTLoss,
    OFDLoss,
    PHISLoss,
    PKDLoss,
    PKTLoss,
    RKDLoss,
    SemCKDLoss,
    SimKDLoss,
    SPKDLoss,
    SRDLoss,
    SSKDLoss,
    VIDLoss,
    VKDLoss,
    activation_boundaries,
    cka_cost,
    gaussian_wasserstein,
    hierarchical_context,
    isotropic_transform,
    negative_margin,
)
from distill_core.surgery import FeatureProjector

from .golden import Call, Golden, fill


def of(loss: nn.Module, case: Golden) -> Tensor:
    value: Tensor = loss(case["student"], case["teacher"])
    return value


def levels(case: Golden, side: str) -> list[Tensor]:
    return [case[name] for name in sorted(case.tensors) if name.startswith(f"{side}_") and name[-1].isdigit()]


def crd(case: Golden) -> Tensor:
    loss = CRDLoss(
        **case.settings, student_features=case["weight_s"].shape[1], teacher_features=case["weight_t"].shape[1]
    )
    values = {"student_bank": case["student_bank"], "teacher_bank": case["teacher_bank"]}
    for side in ("student", "teacher"):
        for name in ("weight", "bias"):
            values[f"{side}_embedding__linear__{name}"] = case[f"{name}_{side[0]}"]
    fill(loss, **values)
    total = torch.zeros((), dtype=torch.float64)
    for student, teacher, index, negatives in zip(
        case["student"], case["teacher"], case["index"], case["negatives"], strict=True
    ):
        with patch.object(loss, "_draw", lambda *_, negatives=negatives: negatives):
            total = total + loss(student, teacher, index)
    for bank in ("student_bank", "teacher_bank"):
        torch.testing.assert_close(
            loss.get_buffer(bank), torch.tensor(case.state_after[bank], dtype=torch.float64), rtol=1e-5, atol=1e-6
        )
    return total


def fsp(case: Golden) -> Tensor:
    student, teacher = ([case[f"{side}_{end}"] for end in ("first", "second")] for side in ("student", "teacher"))
    return FSPLoss("code")(student, teacher)


def vid(case: Golden) -> Tensor:
    middle, channels = case["first"].shape
    loss = VIDLoss(middle, 5.0, 1e-5, channels, case["teacher"].shape[1])
    weights = {f"{name}__weight": case[name] for name in ("first", "second", "third")}
    return of(fill(loss, **weights, variance__alpha=case["alpha"]), case)


def ft(case: Golden) -> Tensor:
    teacher, student = case["teacher"].shape[1], case["student"].shape[1]
    factor = case.settings["factor_channels"]
    paraphraser = Paraphraser(teacher, factor / teacher)
    translator = Translator(student, factor)
    for module, name in ((paraphraser, "paraphraser"), (translator, "translator")):
        values = {f"{2 * layer}__{leaf}": case[f"{name}{layer}_{leaf}"] for layer in range(3) for leaf in LEAVES}
        fill(module.encoder, **values)
    return of(FTLoss(paraphraser, translator, p=1, mode="code"), case)


def ofd(case: Golden) -> Tensor:
    margins, values = [], {}
    for level in (1, 2):
        norm = nn.BatchNorm2d(len(case[f"scale_{level}"]))
        fill(norm, weight=case[f"teacher_scale_{level}"], bias=case[f"teacher_shift_{level}"])
        margins.append(negative_margin(norm))
        at = f"regressors__{level - 1}"
        values[f"{at}__weight"] = case[f"connector_{level}"][:, :, None, None]
        values[f"{at}__norm__weight"], values[f"{at}__norm__bias"] = case[f"scale_{level}"], case[f"shift_{level}"]
    student, teacher = ([case[f"{side}_{level}"] for level in (1, 2)] for side in ("student", "teacher"))
    loss = fill(OFDLoss(margins, [x.shape[1] for x in student], mode="code"), **values)
    return len(student[0]) * loss(student, teacher)  # theirs is a sum over the batch


def kr(case: Golden) -> Tensor:
    loss = KRLoss(3, case.settings["middle"])
    student, teacher = ([case[f"{side}_{level}"] for level in (1, 2, 3)] for side in ("student", "teacher"))
    with torch.no_grad():
        loss.double().eval()([x.detach() for x in student], teacher)
    values = {}
    for level in (1, 2, 3):
        at = f"levels__{level - 1}"
        values |= {f"{at}__{name}__weight": case[f"{name}_{level}"] for name in ("reduce", "restore")}
        if level < 3:
            values |= {f"{at}__attention__{leaf}": case[f"attention_{level}_{leaf}"] for leaf in LEAVES}
    return fill(loss.train(), **values)(student, teacher)


def ickd(case: Golden) -> Tensor:
    loss = ICKDLoss(case["student"].shape[1], case["teacher"].shape[1], mode="code")
    return of(fill(loss, embedding__weight=case["embedding"]), case)


def itrd(case: Golden, correlation: float, mutual: float) -> Tensor:
    teacher, student = case["weight"].shape
    loss = ITRDLoss(correlation, mutual, case.settings["alpha"], "code", student, teacher)
    return of(fill(loss, regressor__weight=case["weight"], regressor__bias=case["bias"]), case)


def pkd(case: Golden) -> Tensor:
    loss, total = PKDLoss(), torch.zeros((), dtype=torch.float64)
    for student, teacher in zip(levels(case, "student"), levels(case, "teacher"), strict=True):
        count = teacher.numel() // teacher.shape[1]
        total = total + (count - 1) / count * loss([student], [teacher])  # theirs uses the unbiased deviation
    return total


def semckd(case: Golden) -> Tensor:
    student, teacher = levels(case, "student"), levels(case, "teacher")
    loss = SemCKDLoss(len(student[0]), [x.shape[1] for x in teacher], [x.shape[1] for x in student], factor=4)
    values = {}
    for layer in (1, 2):
        for name, module in (("query", "queries"), ("key", "keys")):
            values |= {
                f"{module}__{layer - 1}__{2 * n - 2}__{leaf}": case[f"{name}_{layer}_{leaf}{n}"]
                for n in (1, 2)
                for leaf in LEAVES
            }
        for other in (1, 2):
            at = f"regressors__{layer - 1}__{other - 1}"
            values |= {f"{at}__{2 * n - 2}__weight": case[f"regressor_{layer}_{other}_{n}"] for n in (1, 2, 3)}
    return fill(loss, **values)(student, teacher)


def sskd(case: Golden) -> Tensor:
    s = case.settings
    weights = [s["ce_weight"], s["kd_weight"], s["ss_weight"], s["tf_weight"]]
    loss = SSKDLoss(
        ProjectionHead(case["teacher_feature"].shape[1]), *weights, s["kd_T"], s["ss_T"], s["tf_T"], s["ratio_ss"],
        s["ratio_tf"],
    )  # fmt: skip
    loss.student_head = ProjectionHead(case["student_feature"].shape[1])
    values = {
        f"{side}_head__{layer}__{leaf}": case[f"{side}_{leaf}{n}"]
        for side in ("student", "teacher")
        for n, layer in ((1, "first"), (2, "second"))
        for leaf in LEAVES
    }
    student, teacher = ([case[side], case[f"{side}_feature"]] for side in ("student", "teacher"))
    return fill(loss, **values)(student, teacher, case["target"])


def srd(case: Golden) -> Tensor:
    teacher, student = case["weight"].shape
    loss = SRDLoss(4.0, student_channels=student, teacher_channels=teacher)
    return of(fill(loss, projector__weight=case["weight"][:, :, None, None]), case)


def vkd(case: Golden) -> Tensor:
    projection = case["projection"]
    loss = VKDLoss("layer", *projection.shape[::-1]).double()
    with patch.object(loss.projection, "matrix", lambda: projection):
        return loss(case["student"].mean(1), case["teacher"].mean((2, 3)))


def vkd_detection(case: Golden) -> Tensor:
    channels = case["student"].shape[1]
    loss = VKDLoss("batch", channels, channels, eps=1e-14).double()  # theirs adds nothing to the variance
    with patch.object(loss.projection, "matrix", lambda: torch.eye(channels, dtype=torch.float64)):
        return loss(case["student"], case["teacher"].flatten(2).mT.flatten(0, 1))


def mgd(case: Golden, hidden: str) -> Tensor:
    teacher, student = case["align_weight"].shape
    loss = MGDLoss(case.settings["ratio"], hidden, 1, student, teacher)
    fill(
        loss,
        aligns__0__weight=case["align_weight"],
        aligns__0__bias=case["align_bias"],
        generators__0__first__weight=case["weight1"],
        generators__0__first__bias=case["bias1"],
        generators__0__second__weight=case["weight2"],
        generators__0__second__bias=case["bias2"],
    )
    drawn = case["drawn"][:, :, None, None] if hidden == "channels" else 1 - case["drawn"][:, None]
    with patch.object(torch, "rand", lambda *_args, **_options: drawn):
        return of(loss, case)


def simkd(case: Golden) -> Tensor:
    projector = FeatureProjector(
        case["student"].shape[1], case["teacher"].shape[1], case.settings["factor"], len(case["teacher"][0, 0])
    )
    fill(projector, **{f"{name}__weight": case[name] for name in ("reduce", "mix", "expand")})
    return SimKDLoss()(projector(case["student"]), case["teacher"])


def wkdl_cka_cost(case: Golden) -> Tensor:
    return (case["probe"] * cka_cost(case["features"], case.settings["sharpening"])).sum()


LEAVES = ("weight", "bias")


def clipkd(case: Golden) -> Tensor:
    sides = ([case[f"{side}_images"], case[f"{side}_texts"]] for side in ("student", "teacher"))
    options, names = dict(case.settings), {}
    if options["interactive_weight"]:
        names["log_scale"] = torch.tensor(options["scale"], dtype=torch.float64).log()
    if "visual_weight" in case.tensors:
        options["teacher_features"], options["student_features"] = case["visual_weight"].shape
        for k, side in enumerate(("visual", "text")):
            names |= {f"projections__{k}__{leaf}": case[f"{side}_{leaf}"] for leaf in ("weight", "bias")}
    return fill(CLIPKDLoss(**options), **names)(*sides)


def phis(case: Golden) -> Tensor:
    mean, matrix = isotropic_transform(case["features"])
    loss = PHISLoss(case["features"], case["student"].shape[1])
    weight, bias = case["regressor_weight"], case["regressor_bias"]
    return fill(loss, regressor__weight=weight, regressor__bias=bias, mean=mean, matrix=matrix)(
        case["student"], case["teacher"]
    )


CALLS: dict[str, Call] = {
    "phis": phis,
    "clipkd": clipkd,
    "at": lambda case: ATLoss("code")([case["student"]], [case["teacher"]]),
    "nst": lambda case: NSTLoss()([case["student"]], [case["teacher"]]),
    "spkd": lambda case: of(SPKDLoss(), case),
    "pkt": lambda case: of(PKTLoss(mode="code"), case),
    "rkd": lambda case: of(RKDLoss(**case.settings), case),
    "crd": crd,
    "fsp": fsp,
    "vid": vid,
    # theirs is a sum over the batch
    "dab": lambda case: len(case["student"]) * activation_boundaries(case["student"], case["teacher"], **case.settings),
    "ft": ft,
    "ofd": ofd,
    "kr_hcl": lambda case: hierarchical_context(case["student"], case["teacher"]),
    "kr": kr,
    "ickd": ickd,
    "catkd": lambda case: of(CATKDLoss(case.settings["resolution"], normalise=case.settings["normalise"]), case),
    "pkd": pkd,
    "semckd": semckd,
    "sskd": sskd,
    "itrd_correlation": lambda case: itrd(case, 1.0, 0.0),
    "itrd_mutual": lambda case: itrd(case, 0.0, 1.0),
    "srd": srd,
    "vkd": vkd,
    "vkd_detection": vkd_detection,
    "mgd_positions": lambda case: mgd(case, "positions"),
    "mgd_channels": lambda case: mgd(case, "channels"),
    "simkd": simkd,
    "wkdf": lambda case: gaussian_wasserstein(
        case["student"], case["teacher"], case.settings["mean_ratio"], case.settings["grid"]
    ).mean(),
    "wkdl_cka_cost": wkdl_cka_cost,
}
