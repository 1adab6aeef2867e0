"""Keypoints: the metrics equal those of pycocotools on files, and follow the definition of OKS."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from distill_core.errors import DataError
from distill_vision.metrics import CocoAP
from distill_vision.metrics._coco_evaluator import KEYPOINT_NAMES, SIGMAS

pytest.importorskip("pycocotools")


def scenes(count: int, seed: int = 0):
    """Return random ground truth, in which keypoints are hidden or missing, and shaken predictions."""
    draw = torch.Generator().manual_seed(seed)
    preds, targets = [], []
    for image in range(10):
        number = int(torch.randint(0, 4, (), generator=draw))
        corner = 200 * torch.rand(number, 2, generator=draw)
        sides = 30 + 100 * torch.rand(number, 2, generator=draw)
        xy = corner[:, None] + sides[:, None] * torch.rand(number, count, 2, generator=draw)
        seen = torch.randint(0, 3, (number, count, 1), generator=draw)
        labels = torch.randint(1, 3, (number,), generator=draw)
        boxes = torch.cat([corner, corner + sides], 1)
        points = torch.cat([xy * (seen > 0), seen], -1)
        area = 0.6 * sides.prod(1)
        targets.append({"image_id": 2 * image, "boxes": boxes, "labels": labels, "area": area, "keypoints": points})
        shaken = (xy + 6 * torch.randn(xy.shape, generator=draw)).repeat(2, 1, 1)
        preds.append({
            "boxes": boxes.repeat(2, 1), "labels": labels.repeat(2), "scores": torch.rand(2 * number, generator=draw),
            "keypoints": torch.cat([shaken, torch.ones(2 * number, count, 1)], -1),
        })  # fmt: skip
    return preds, targets


def reference(preds, targets, sigmas, folder) -> list[float]:
    """Return pycocotools' numbers for files in COCO's format."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = [], []
    for pred, true in zip(preds, targets, strict=True):
        image = int(true["image_id"])
        for box, label, area, points in zip(
            true["boxes"], true["labels"], true["area"], true["keypoints"], strict=True
        ):
            corners = box.double()
            truth.append({
                "id": len(truth) + 1, "image_id": image, "category_id": int(label), "iscrowd": 0, "area": float(area),
                "bbox": [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()],
                "keypoints": points.flatten().tolist(), "num_keypoints": int((points[:, 2] > 0).sum()),
            })  # fmt: skip
        rows = zip(pred["labels"].tolist(), pred["scores"].tolist(), pred["keypoints"], strict=True)
        found += [
            {"image_id": image, "category_id": label, "score": score, "keypoints": points.flatten().tolist()}
            for label, score, points in rows
        ]
    images = [{"id": int(true["image_id"])} for true in targets]
    tables = {"info": {}, "images": images, "annotations": truth, "categories": [{"id": 1}, {"id": 2}]}
    (folder / "truth.json").write_text(json.dumps(tables))
    official = COCO(str(folder / "truth.json"))
    evaluation = COCOeval(official, official.loadRes(found), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.parametrize("sigmas", [SIGMAS, [0.1] * 12], ids=["persons", "corners"])
def test_the_numbers_are_those_of_pycocotools(sigmas, tmp_path):
    preds, targets = scenes(len(sigmas))
    metric = CocoAP("keypoints", sigmas=sigmas, classes={1: "a", 2: "b"})
    for start in (0, 4):
        metric.update(preds[start : start + (4, 6)[start > 0]], targets[start : start + (4, 6)[start > 0]])
    values = metric.compute()
    expected = reference(preds, targets, sigmas, tmp_path)
    assert [values[name] for name in KEYPOINT_NAMES] == expected
    assert 0 < values["AP"] < 1
    assert np.isclose((values["AP.a"] + values["AP.b"]) / 2, values["AP"])


@pytest.mark.parametrize(("distance", "hit"), [(0.99, True), (1.01, False)])
def test_a_prediction_hits_if_its_similarity_is_at_least_the_threshold(distance, hit):
    """OKS = exp(−d² / (2 · area · (2σ)²)) is 0.5 at d = 2σ · √(2 · area · ln 2)."""
    area, sigma = 900.0, 0.05
    shift = distance * 2 * sigma * math.sqrt(2 * area * math.log(2))
    points = torch.tensor([[[10.0, 10.0, 2.0], [40.0, 40.0, 2.0]]])
    true = {"image_id": 1, "boxes": torch.tensor([[10.0, 10, 40, 40]]), "labels": torch.tensor([1]), "area": [area]}
    pred = {**true, "scores": torch.tensor([0.9]), "keypoints": points + torch.tensor([shift, 0.0, 0.0])}
    metric = CocoAP("keypoints", sigmas=[sigma] * 2)
    metric.update([pred], [true | {"keypoints": points}])
    assert (metric.compute()["AP50"] > 0.99) == hit


def test_drawn_shapes_have_keypoints_to_measure():
    from distill_vision.data import shapes_detection

    data = shapes_detection("test", images=4, batch_size=4, keypoints=True)
    (batch,) = list(data)
    metric = CocoAP("keypoints", sigmas=[0.05] * 12, classes=data.dataset.names)
    metric.update([{**true, "scores": torch.ones(len(true["labels"]))} for true in batch["target"]], batch["target"])
    values = metric.compute()
    assert values["AP"] == pytest.approx(1.0)


def test_missing_keypoints_and_other_numbers_of_them_are_refused():
    preds, targets = scenes(12)
    with pytest.raises(DataError, match="one for each of `sigmas`, got"):
        CocoAP("keypoints").update(preds, targets)
    without = [{name: value for name, value in true.items() if name != "keypoints"} for true in targets]
    with pytest.raises(DataError, match="compares keypoints, got only area, boxes, image_id, labels"):
        CocoAP("keypoints", sigmas=[0.1] * 12).update(preds, without)
    with pytest.raises(DataError, match="`sigmas` must be numbers > 0"):
        CocoAP("keypoints", sigmas=[0.1, 0.0])
