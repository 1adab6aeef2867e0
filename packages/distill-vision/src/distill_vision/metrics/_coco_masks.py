"""Masks in COCO's format: column-major run lengths, compressed to text."""

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
    """Encode each mask as COCO stores it.

    Args:
        masks: (n, height, width), or (n, 1, height, width) as Mask R-CNN returns them; probabilities of at least
            0.5 are inside.

    Raises:
        DataError: pycocotools is not installed.
        ValueError: The masks have another shape.
    """
    if masks.dim() == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]
    if masks.dim() != 3:
        message = f"masks must be (n, height, width) or (n, 1, height, width), got {tuple(masks.shape)}"
        raise ValueError(message)
    inside = masks >= 0.5 if masks.is_floating_point() else masks != 0
    # The encoder reads column-major arrays, one mask after another.
    columns = inside.detach().permute(0, 2, 1).to("cpu", torch.uint8).contiguous()
    runs: list[RunLengths] = mask_tools().encode(columns.numpy().transpose(2, 1, 0))
    return runs


def gather_run_lengths(runs: Sequence[RunLengths], device: torch.device) -> list[RunLengths]:
    """Gather the masks of all processes, in the order of the ranks."""
    sizes = torch.tensor([[*run["size"], len(run["counts"])] for run in runs], dtype=torch.int64).reshape(-1, 3)
    text = torch.frombuffer(bytearray(b"".join(run["counts"] for run in runs) or b"\0"), dtype=torch.uint8)
    sizes = gather_batch(sizes.to(device)).cpu()
    all_text = gather_batch((text if runs else text[:0]).to(device)).cpu().numpy().tobytes()
    gathered, start = [], 0
    for height, width, length in sizes.tolist():
        gathered.append({"size": [height, width], "counts": all_text[start : start + length]})
        start += length
    return gathered
