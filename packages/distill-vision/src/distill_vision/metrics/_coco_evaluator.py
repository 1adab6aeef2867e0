"""COCO's evaluator on records in memory: pycocotools, or a faster one that computes the same values."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from distill_core.errors import DataError

from ._coco_faster import evaluate_as_pycocotools

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
KEYPOINT_NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
SIGMAS = (.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089)  # fmt: skip
"""How exactly COCO's 17 keypoints of persons are annotated, as a fraction of the object's scale."""
IouType = Literal["bbox", "segm", "keypoints"]
Evaluator = Literal["faster_coco_eval", "pycocotools"]


def summary(
    images: Sequence[int],
    found: list[dict[str, Any]],
    true: list[dict[str, Any]],
    iou_type: IouType = "bbox",
    evaluator: Evaluator | None = None,
    sigmas: Sequence[float] = SIGMAS,
) -> tuple[list[float], dict[int, float]]:
    """Compute the twelve metrics, or the ten of keypoints, and label → AP, each from 0 to 1 or −1.

    Args:
        images: The ids of all images.
        found: COCO's records of the predictions.
        true: COCO's records of the ground truth.
        iou_type: Whether boxes (`bbox`) or masks (`segm`) are compared.
        evaluator: The evaluator; by default the first that is installed, and pycocotools for keypoints.
        sigmas: Of each keypoint.

    Raises:
        DataError: The evaluator is not installed.
    """
    make_coco, make_evaluation = _classes("pycocotools" if iou_type == "keypoints" else evaluator)
    labels = sorted({record["category_id"] for record in found + true})
    images, found, true = _renumbered(images, found, true)
    sizes = {record["image_id"]: record["segmentation"]["size"] for record in found + true if "segmentation" in record}
    tables = {
        "info": {},
        "images": [dict(zip(("id", "height", "width"), (n, *sizes.get(n, (0, 0))), strict=True)) for n in images],
        "categories": [{"id": label} for label in sorted({record["category_id"] for record in found + true})],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth, results = make_coco(), make_coco()
        # Not `loadRes`, which fails without any prediction.
        for table, records in ((truth, true), (results, found)):
            table.dataset = {**tables, "annotations": records}
            table.createIndex()
        evaluation = make_evaluation(truth, results, iou_type)
        if iou_type == "keypoints":
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        if make_evaluation.__name__ == "COCOeval_faster":
            evaluate_as_pycocotools(evaluation)
        else:
            evaluation.evaluate()
            evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"]  # thresholds, recalls, categories, sizes, maximum numbers of boxes
    by_label = {label: _mean(precision[:, :, index, 0, -1]) for index, label in enumerate(labels)}
    return [float(value) for value in evaluation.stats[:12]], by_label


def _mean(precision: Any) -> float:
    """Return the mean precision, −1 if there are no objects; as the evaluator averages over all classes."""
    known = precision[precision > -1]
    return float(known.mean()) if known.size else -1.0


def _renumbered(
    images: Sequence[int], found: list[dict[str, Any]], true: list[dict[str, Any]]
) -> tuple[list[int], list[dict[str, Any]], list[dict[str, Any]]]:
    """Renumber images and classes from 1 in the same order: an evaluator may store 32 bits of an id, or skip 0."""
    image = {number: n for n, number in enumerate(sorted(set(images)), start=1)}
    label = {number: n for n, number in enumerate(sorted({row["category_id"] for row in found + true}), start=1)}
    rows = [
        [{**row, "image_id": image[row["image_id"]], "category_id": label[row["category_id"]]} for row in records]
        for records in (found, true)
    ]
    return [image[number] for number in images], rows[0], rows[1]


def _classes(evaluator: Evaluator | None) -> tuple[Any, Any]:
    """Return the classes COCO and COCOeval."""
    if evaluator is None:
        evaluator = "faster_coco_eval" if importlib.util.find_spec("faster_coco_eval") else "pycocotools"
    try:
        if evaluator == "faster_coco_eval":
            faster = importlib.import_module("faster_coco_eval")
            return faster.COCO, faster.COCOeval_faster
        tables, evaluation = (importlib.import_module(f"pycocotools.{name}") for name in ("coco", "cocoeval"))
    except ModuleNotFoundError as error:
        package = "'distill-vision[detection]'" if evaluator == "pycocotools" else "faster-coco-eval"
        message = f"COCO's evaluator {evaluator} is not installed"
        raise DataError(message, hint=f"pip install {package}") from error
    return tables.COCO, evaluation.COCOeval
