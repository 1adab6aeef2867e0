"""Detections as the records of COCO's results files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ._coco_masks import run_lengths


def coco_detections(
    preds: Sequence[Mapping[str, Tensor]], target: Sequence[Mapping[str, Tensor]], category_ids: Mapping[int, int]
) -> list[dict[str, object]]:
    """Return the detections of a batch with COCO's own ids, for `COCO.loadRes` or an evaluation server.

    Args:
        preds: For each image `boxes` (n, 4) as corners in pixels of the original image, `labels` (n,), `scores` (n,) and,
            optionally, `masks` (n, height, width) or (n, 1, height, width).
        target: For each image `image_id`.
        category_ids: Label → id of its category, `loader.dataset.category_ids`. Detections of other labels, which a
            detector with more classes than the file may predict, are omitted.

    >>> import torch
    >>> found = {"boxes": torch.tensor([[1.0, 2.0, 4.0, 6.0]]), "labels": torch.tensor([1]), "scores": torch.tensor([0.5])}
    >>> coco_detections([found], [{"image_id": torch.tensor(7)}], {1: 300})
    [{'image_id': 7, 'category_id': 300, 'bbox': [1.0, 2.0, 3.0, 4.0], 'score': 0.5}]
    """
    records = []
    for found, true in zip(preds, target, strict=True):
        runs = run_lengths(found["masks"]) if "masks" in found else None
        rows = zip(found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True)
        for number, ((left, top, right, bottom), label, score) in enumerate(rows):
            if label not in category_ids:
                continue
            record: dict[str, object] = {
                "image_id": int(true["image_id"]),
                "category_id": category_ids[label],
                "bbox": [left, top, right - left, bottom - top],
                "score": score,
            }
            if runs is not None:
                run = runs[number]
                record["segmentation"] = {"size": list(run["size"]), "counts": run["counts"].decode("ascii")}
            records.append(record)
    return records
