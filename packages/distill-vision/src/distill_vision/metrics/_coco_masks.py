"""Masks as COCO's evaluator takes them: run lengths down the columns, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distill_core.distributed import gather_batch

from .._pycocotools import mask_tools

RunLengths = dict[str, Any]
"""`size`, [height, width], and `counts`, the compressed text as bytes."""


def run_lengths(masks: Tensor) -> list[RunLengths]:
    """Each mask as COCO stores it.

    Args:
        masks: (n, height, width), or (n, 1, height, width) as Mask R-CNN gives them; probabilities of at least 0.5 are in.

    Raises:
        DataError: pycocotools is not installed.
        ValueError: The masks have another shape.
    """
    if masks.dim() == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]
    if masks.dim() != 3:
        message = f"masks are (n, height, width) or (n, 1, height, width), not {tuple(masks.shape)}"
        raise ValueError(message)
    inside = masks >= 0.5 if masks.is_floating_point() else masks != 0
    # The evaluator's arrays are in Fortran's order: the columns of one mask after those of another.
    columns = inside.detach().permute(0, 2, 1).to("cpu", torch.uint8).contiguous()
    runs: list[RunLengths] = mask_tools().encode(columns.numpy().transpose(2, 1, 0))
    return runs


def gather_run_lengths(runs: Sequence[RunLengths], device: torch.device) -> list[RunLengths]:
    """The masks of all processes, in the order of the ranks."""
    sizes = torch.tensor([[*run["size"], len(run["counts"])] for run in runs], dtype=torch.int64).reshape(-1, 3)
    text = torch.frombuffer(bytearray(b"".join(run["counts"] for run in runs) or b"\0"), dtype=torch.uint8)
    sizes = gather_batch(sizes.to(device)).cpu()
    whole = gather_batch((text if runs else text[:0]).to(device)).cpu().numpy().tobytes()
    gathered, start = [], 0
    for height, width, length in sizes.tolist():
        gathered.append({"size": [height, width], "counts": whole[start : start + length]})
        start += length
    return gathered
