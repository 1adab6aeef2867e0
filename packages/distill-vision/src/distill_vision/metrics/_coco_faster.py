"""Adjustment of faster-coco-eval to the exact bits of pycocotools.

The precision of the first k boxes is the number of hits divided by k. pycocotools adds the spacing of 1 to k, which rounding
removes unless k is 1: the first box alone, if it hits, has the precision 1 / (1 + ε). Precision is the maximum over all
later boxes, so the difference is visible only if the second box is not a hit. The evaluator does not return hits, but at a
recall between one and two objects the precision is 1 only if the first two boxes are hits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ALONE = 1.0 / (1.0 + np.spacing(1))


def evaluate_as_pycocotools(evaluation: Any) -> None:
    """Run a `COCOeval_faster` up to `summarize`, which the caller runs.

    Args:
        evaluation: The evaluation, with ground truth, results and parameters.
    """
    params = evaluation.params
    grid = params.recThrs
    numbers = _objects(evaluation)
    beyond_one = 1.5 / np.maximum(numbers, 1)
    params.recThrs = np.unique(np.concatenate([grid, beyond_one.ravel()]))
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.array(
        evaluation.eval["precision"]
    )  # thresholds, recalls, categories, sizes, maximum numbers of boxes
    for category, size in np.ndindex(*numbers.shape):
        curves = precision[:, :, category, size]
        second = curves[:, np.searchsorted(params.recThrs, beyond_one[category, size])]
        curves[(curves == 1.0) & (second < 1.0)[:, None]] = ALONE
    evaluation.eval["precision"] = precision[:, np.isin(params.recThrs, grid)]
    params.recThrs = grid


def _objects(evaluation: Any) -> Any:
    """Return the number of objects that are not crowds: (categories, sizes)."""
    params, truth = evaluation.params, evaluation.cocoGt
    counted = [row for row in truth.dataset["annotations"] if not row["iscrowd"]]
    return np.array(
        [
            [
                sum(row["category_id"] == label and low <= row["area"] <= high for row in counted)
                for low, high in params.areaRng
            ]
            for label in sorted(truth.getCatIds())
        ]
    ).reshape(-1, len(params.areaRng))
