"""Calls of the losses of token sequences with the inputs of the golden files."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from distill_core.losses import (
    ABKDLoss,
    AKLLoss,
    DistiLLM2Loss,
    DSKDCMALoss,
    DSKDLoss,
    ForwardKLLoss,
    GeneralisedJSDLoss,
    ReverseKLLoss,
    SampledReverseKLLoss,
    SkewedKLLoss,
    SkewedReverseKLLoss,
    TAIDLoss,
    TopKKLLoss,
    ULDLoss,
)

from .golden import Call, Golden, fill


def of(loss: nn.Module, case: Golden) -> Tensor:
    value: Tensor = loss(case["student"], case["teacher"], case["mask"])
    return value


def gkd(case: Golden) -> Tensor:
    return of(GeneralisedJSDLoss(**case.settings), case)


def abkd(case: Golden) -> Tensor:
    alpha, beta = case.settings["alpha"], case.settings["beta"]
    factor = 1.0 if alpha and beta else alpha + beta  # their limits divide by α or β once, not twice
    return factor * of(ABKDLoss(alpha, beta), case)


def taid(case: Golden) -> Tensor:
    loss = TAIDLoss(**case.options("start", "end", "rate", "momentum"), mode="code").double()
    values = []
    for step, inputs in enumerate(zip(case["student"], case["teacher"], case["mask"], strict=True)):
        loss.set_progress(SimpleNamespace(progress=step / case.settings["num_steps"]))
        values.append(loss(*inputs))
        assert loss.t.item() == pytest.approx(case.state_after["t"][step], rel=1e-5)
    return torch.stack(values).sum()


def counted(labels: Tensor) -> Tensor:
    """Return the positions that the authors' code compares: as many as labels count, from one before the first."""
    mask = torch.zeros_like(labels, dtype=torch.bool)
    for row, values in zip(mask, labels, strict=True):
        ignored = int((values != -100).int().argmax())
        start = max(ignored - 1, 0)
        row[start : start + int((values != -100).sum())] = True
    return mask


def uld(case: Golden) -> Tensor:
    masks = [counted(case[f"labels_{side}"]) for side in ("student", "teacher")]
    return ULDLoss(**case.settings)(case["student"], case["teacher"], masks)


def topk_kl(case: Golden) -> Tensor:
    loss = TopKKLLoss()(case["student"], case["teacher"], case["index"], case["mask"])
    return case["mask"].sum() * loss  # theirs is a sum over tokens


def sampled_reverse_kl(case: Golden) -> Tensor:
    loss = SampledReverseKLLoss(**case.settings)
    return loss(case["student"], case["teacher"], case["target"], case["mask"])


def distillm2(case: Golden) -> Tensor:
    loss = DistiLLM2Loss(**case.settings)
    return 2 * loss(
        case["student"], case["teacher"], case["index"], case["target"], case["mask"]
    )  # theirs adds up a pair


def dual_space(case: Golden, kind: type[DSKDLoss | DSKDCMALoss]) -> Tensor:
    """Return the loss with the heads and embeddings of the case, and with its projections, which get gradients."""
    sides, widths = [], {}
    for side in ("student", "teacher"):
        vocabulary, width = case[f"{side}_head"].shape
        widths[f"{side}_features"] = width
        sides.append(
            [
                case[side],
                case[f"{side}_hidden"],
                fill(nn.Linear(width, vocabulary, bias=False), weight=case[f"{side}_head"]),
            ]
        )
    names = {"to_student": "t2s", "to_teacher": "s2t"}
    given = [case["target"]]
    if kind is DSKDCMALoss:
        names["query"] = "query"
        for side, values in zip(("student", "teacher"), sides, strict=True):
            values.append(nn.Embedding.from_pretrained(case[f"{side}_embedding"]))
        given = [[case["target"], case["teacher_target"]], [case["index"], case["teacher_index"]]]
    learned = {f"{n}.{leaf}": case[f"{theirs}_{leaf}"] for n, theirs in names.items() for leaf in ("weight", "bias")}
    value: Tensor = functional_call(kind(**case.settings, **widths).double(), learned, (*sides, *given))
    return value


CALLS: dict[str, Call] = {
    "distillm2": distillm2,
    "dskd": lambda case: dual_space(case, DSKDLoss),
    "dskd_cma": lambda case: dual_space(case, DSKDCMALoss),
    "forward_kl": lambda case: of(ForwardKLLoss(), case),
    "reverse_kl": lambda case: of(ReverseKLLoss(), case),
    "skewed_forward_kl": lambda case: of(SkewedKLLoss(**case.settings), case),
    "skewed_reverse_kl": lambda case: of(SkewedReverseKLLoss(**case.settings), case),
    "js_distillm": lambda case: of(GeneralisedJSDLoss(1 - case.settings["skew"]), case),
    "gkd": gkd,
    "abkd": abkd,
    "akl": lambda case: of(AKLLoss(0.5, "code"), case),
    "taid": taid,
    "uld": uld,
    "topk_kl": topk_kl,
    "sampled_reverse_kl": sampled_reverse_kl,
}
