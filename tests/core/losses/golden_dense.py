"""Calls of the losses of detection and segmentation with the inputs of the golden files."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from distill_core.losses import (
    CrossKDLoss,
    CWDLoss,
    FGDLoss,
    LDLoss,
    PairwiseLoss,
    PixelwiseLoss,
    aligned,
    box_distance,
    memory_divergence,
    pixel_pairs,
    quality_focal,
    valuable_region,
)

from .golden import Call, Golden, fill

CONTEXT = {"attention__weight": "attention", "norm__weight": "scale", "norm__bias": "shift"}
CONTEXT |= {f"{layer}__{leaf}": f"{layer}_{leaf}" for layer in ("first", "second") for leaf in ("weight", "bias")}


def fgd(case: Golden) -> Tensor:
    names = {"alpha": "object", "beta": "background", "gamma": "attention", "lambda_": "global"}
    channels, cells = case["teacher"].shape[1], case["teacher"].shape[2]
    loss = FGDLoss(
        channels,
        levels=1,
        **{f"{ours}_weight": case.settings[theirs] for theirs, ours in names.items()},
        temperature=case.settings["temperature"],
    )
    for side in ("student", "teacher"):
        values = {ours: case[f"{side[0]}_{theirs}"] for ours, theirs in CONTEXT.items()}
        fill(loss.get_submodule(f"{side}_contexts.0"), **values)
    boxes = []
    for name in sorted(name for name in case.tensors if name.startswith("boxes_")):
        rows = [
            [
                left / case.settings["size"],
                top / case.settings["size"],
                *(_end(case, x, cells) for x in (right, bottom)),
            ]
            for left, top, right, bottom in case[name].reshape(-1, 4).tolist()
        ]
        boxes.append(torch.tensor(rows, dtype=torch.float64).reshape(-1, 4))
    return loss.double()([case["student"]], [case["teacher"]], boxes)


def _end(case: Golden, end: float, cells: int) -> float:
    """Return the end of a box with the additional cell of the authors' code."""
    return (math.ceil(end / case.settings["size"] * cells) + 1 - 1e-6) / cells


def crosskd(case: Golden) -> Tensor:
    temperature = case.settings["temperature"]
    options = (
        {} if temperature == 1 else {"temperature": temperature}
    )  # 1, of all published configurations, is the default
    loss = CrossKDLoss(nn.Identity(), "distributions", align=False, **options)
    return loss(case["student"], case["teacher"], case["mask"])


def ld(case: Golden, level: str = "", mask: Tensor | None = None) -> Tensor:
    """Theirs is a sum over positions, a mean over bins and divided by a constant; they add up the four edges."""
    mask = case["mask"] if mask is None else mask
    loss = LDLoss(case.settings["temperature"])(case["student" + level], case["teacher" + level], mask)
    bins = case["teacher" + level].shape[1] // 4
    return loss * mask.sum() * 4 / (bins * case.settings["avg_factor"])


def ld_valuable_region(case: Golden) -> Tensor:
    weights = valuable_region([case["anchors_1"], case["anchors_2"]], case["boxes"])
    masks = [w.view(1, *case[f"teacher_{k}"].shape[2:]) for k, w in enumerate(weights, start=1)]
    return ld(case, "_1", masks[0]) + ld(case, "_2", masks[1])


CALLS: dict[str, Call] = {
    "ld": ld,
    "ld_valuable_region": ld_valuable_region,
    "cwd": lambda case: CWDLoss(**case.settings)(case["student"], case["teacher"]),
    "cirkd_pairs": lambda case: pixel_pairs(case["student"], case["teacher"], **case.settings).mean(),
    "cirkd_memory": lambda case: memory_divergence(
        case["student"], case["teacher"], case["memory"], **case.settings
    ).mean(),
    # theirs is a sum over the batch
    "structured_pixel": lambda case: len(case["student"]) * PixelwiseLoss(1.0)(case["student"], case["teacher"]),
    "structured_pair": lambda case: PairwiseLoss(**case.settings)(case["student"], case["teacher"]),
    "structured_pair_cirkd": lambda case: PairwiseLoss(0.5, detach_norms=False)(case["student"], case["teacher"]),
    "crosskd_classes": lambda case: quality_focal(case["student"], case["teacher"], **case.settings).sum(),
    "crosskd_distributions": crosskd,
    "crosskd_boxes": lambda case: box_distance(case["student"], case["teacher"]).mean(),
    "crosskd_align": lambda case: (case["probe"] * aligned(case["student"], case["teacher"])).sum(),
    "fgd": fgd,
}
