"""COCO's metrics equal those of pycocotools to the last bit; several processes equal one; edge cases."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from distill_core.errors import DataError
from distill_vision.metrics import CocoAP

pytest.importorskip("pycocotools")

SCENES = '''
import torch

def masks(boxes, draw):
    """Draw masks that cover parts of the boxes."""
    inside = torch.zeros(len(boxes), 200, 260)
    for mask, (left, top, right, bottom) in zip(inside, boxes.round().int().clamp(min=0).tolist(), strict=True):
        mask[top:bottom, left:right] = 1
        mask[: int(torch.randint(100, (), generator=draw)), ::3] = 0
    return inside

def scenes(images=12, seed=0):
    """Return random ground truth, including crowds and empty images, and predictions of a moderate detector."""
    draw = torch.Generator().manual_seed(seed)
    preds, targets = [], []
    for image in range(images):
        count = int(torch.randint(0, 6, (1,), generator=draw))
        corner = 200 * torch.rand(count, 2, generator=draw)
        boxes = torch.cat([corner, corner + 4 + 150 * torch.rand(count, 2, generator=draw) ** 2], 1)
        labels = torch.randint(1, 5, (count,), generator=draw)
        crowd = (torch.rand(count, generator=draw) < 0.1).long()
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1) * 0.7
        targets.append({"image_id": torch.tensor(3 * image), "boxes": boxes, "labels": labels, "area": area, "iscrowd": crowd})
        targets[-1]["masks"] = masks(boxes, draw).byte()
        shaken = (boxes + 4 * torch.randn(boxes.shape, generator=draw)).repeat(2, 1)
        extra = torch.tensor([[10.0, 10.0, 60.0, 90.0]])
        found = torch.cat([shaken, extra]) if image % 4 else shaken[:0]
        preds.append({
            "boxes": found,
            "labels": torch.cat([labels, labels, torch.tensor([2])])[: len(found)],
            "scores": torch.rand(len(found), generator=draw),
            "masks": (0.1 + 0.8 * masks(found, draw))[:, None],
        })
    return preds, targets
'''
exec(SCENES)  # the worker below draws the same scenes


EVALUATORS = [name for name in ("pycocotools", "faster_coco_eval") if importlib.util.find_spec(name)]


def reference(preds, targets, folder, iou_type="bbox") -> list[float]:
    """Run the evaluator as in its documentation: files, `loadRes`, twelve numbers."""
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def shape(objects, number):
        left, top, right, bottom = objects["boxes"][number].double().tolist()
        if iou_type == "bbox":
            return {"bbox": [left, top, right - left, bottom - top]}
        pixels = objects["masks"][number].reshape(200, 260).numpy() > 0.5
        run = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        run["counts"] = run["counts"].decode("ascii")
        return {"segmentation": run}

    truth, found = [], []
    for p, t in zip(preds, targets, strict=True):
        image = {"image_id": int(t["image_id"])}
        truth += [
            {**image, "category_id": int(c), **shape(t, n), "area": float(a), "iscrowd": int(k)}
            for n, (c, a, k) in enumerate(zip(t["labels"], t["area"].double(), t["iscrowd"], strict=True))
        ]
        scored = enumerate(zip(p["labels"], p["scores"].double(), strict=True))
        found += [{**image, "category_id": int(c), **shape(p, n), "score": float(s)} for n, (c, s) in scored]
    file = folder / "truth.json"
    images = [{"id": int(t["image_id"]), "height": 200, "width": 260} for t in targets]
    annotations = [{**annotation, "id": number} for number, annotation in enumerate(truth, start=1)]
    categories = [{"id": number} for number in range(1, 5)]
    file.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations, "categories": categories}))
    coco = COCO(file)
    evaluation = COCOeval(coco, coco.loadRes(found), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.parametrize("evaluator", [None, *EVALUATORS])
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("seed", [0, 1])
def test_values_equal_those_of_pycocotools(seed, iou_type, evaluator, tmp_path):
    preds, targets = scenes(seed=seed)  # noqa: F821
    metric = CocoAP(iou_type, evaluator)
    for start in range(0, 12, 5):
        metric.update(preds[start : start + 5], targets[start : start + 5])
    computed = metric.compute()
    assert list(computed.values()) == reference(preds, targets, tmp_path, iou_type)
    assert 0 < computed["AP"] < 1


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_all_evaluators_give_the_same_bits(evaluator):
    # Equal scores, more boxes than are evaluated, boxes without width, and crowds that match many.
    draw = torch.Generator().manual_seed(3)
    preds, targets = [], []
    for image in range(4):
        corner = 300 * torch.rand(140, 2, generator=draw)
        boxes = torch.cat([corner, corner + 90 * torch.rand(140, 2, generator=draw)], 1)
        boxes[:3, 2] = boxes[:3, 0]
        labels = torch.randint(1, 3, (140,), generator=draw)
        found = {"boxes": boxes, "labels": labels, "scores": torch.randint(1, 6, (140,), generator=draw) / 5}
        preds.append(found)
        moved = boxes[:60] + 3 * torch.rand(60, 4, generator=draw)
        crowd = (torch.rand(60, generator=draw) < 0.3).long()
        targets.append({"image_id": image, "boxes": moved, "labels": labels[:60], "iscrowd": crowd})
    computed = []
    for name in (evaluator, "pycocotools"):
        metric = CocoAP(evaluator=name)
        metric.update(preds, targets)
        computed.append(metric.compute())
    assert computed[0] == computed[1]
    assert 0 < computed[0]["AP"] < 1


def test_an_unknown_choice_and_missing_masks_are_refused():
    with pytest.raises(ValueError) as error:
        CocoAP("segment")
    assert str(error.value) == "`iou_type` must be 'bbox' or 'segm' or 'keypoints', got 'segment'"
    preds, targets = scenes(2)  # noqa: F821
    del preds[0]["masks"]
    with pytest.raises(DataError) as error:
        CocoAP("segm").update(preds, targets)
    assert str(error.value) == (
        "`iou_type` 'segm' compares masks, got only boxes, labels, scores"
        "\n  hint: predict masks (Mask R-CNN), and read them with `coco_detection(…, masks=True)`"
    )


def box(*corners: float) -> torch.Tensor:
    return torch.tensor([corners])


def test_nothing_found_and_nothing_there():
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)}
    one = {"image_id": 1, "boxes": box(0, 0, 50, 50), "labels": torch.tensor([1])}
    metric = CocoAP()
    metric.update([nothing], [one])
    assert (metric.compute()["AP"], metric.compute()["APs"]) == (0.0, -1.0)
    metric.reset()
    metric.update([nothing], [{**one, "boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}])
    assert set(metric.compute().values()) == {-1.0}


def test_the_first_object_can_be_found():
    # The evaluator reads an annotation of number 0 as 'no match'.
    found = {"boxes": box(0, 0, 50, 50), "labels": torch.tensor([3]), "scores": torch.tensor([0.5])}
    metric = CocoAP()
    metric.update([found], [{"image_id": 0, "boxes": box(0, 0, 50, 50), "labels": torch.tensor([3])}])
    assert metric.compute()["AP"] == pytest.approx(1.0)


def test_no_images_two_of_a_number_and_uneven_lists_are_refused(capsys):
    metric = CocoAP()
    with pytest.raises(DataError) as none:
        metric.compute()
    assert str(none.value) == "`CocoAP` has no images to measure: the loader yielded no batch"
    preds, targets = scenes(2)  # noqa: F821
    metric.update([preds[1], preds[1]], [targets[1], targets[1]])
    with pytest.raises(DataError) as twice:
        metric.compute()
    assert str(twice.value) == "`CocoAP` got image 3 twice, each image must occur once"
    with pytest.raises(ValueError) as uneven:
        metric.update(preds, targets[:1])
    assert str(uneven.value) == "predictions and targets must be of the same images, got 2 and 1 images"
    assert capsys.readouterr().out == ""


WORKER = (
    SCENES
    + """
import json, torch.distributed as dist
from distill_vision.metrics import CocoAP, ConfusionMatrix, SegmentationScores, TeacherDivergence
torch.set_num_threads(1)
dist.init_process_group("gloo")
preds, targets = scenes()
draw = torch.Generator().manual_seed(0)
maps, labels = torch.randn(12, 3, 4, 4, generator=draw), torch.randint(3, (12, 4, 4), generator=draw)
computed = []
for share in (7, 12):
    own = slice(0, share) if dist.get_rank() == 0 else slice(share, 12)
    coco, scores, divergence = CocoAP("segm"), SegmentationScores(3), TeacherDivergence()
    if len(preds[own]):
        coco.update(preds[own], targets[own])
        scores.update(maps[own], labels[own])
        divergence.update(maps[own, :, 0, 0], maps[own, :, 1, 1])
    computed.append([coco.compute(), scores.compute(), divergence.compute()])
dist.barrier()
dist.destroy_process_group()
if own.start == 0:
    print(json.dumps(computed))
"""
)


def test_two_processes_with_uneven_shards_equal_one(tmp_path):
    from distill_vision.metrics import SegmentationScores, TeacherDivergence

    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    preds, targets = scenes()  # noqa: F821
    draw = torch.Generator().manual_seed(0)
    maps, labels = torch.randn(12, 3, 4, 4, generator=draw), torch.randint(3, (12, 4, 4), generator=draw)
    coco, scores, divergence = CocoAP("segm"), SegmentationScores(3), TeacherDivergence()
    coco.update(preds, targets)
    scores.update(maps, labels)
    divergence.update(maps[:, :, 0, 0], maps[:, :, 1, 1])
    single = [coco.compute(), scores.compute(), pytest.approx(divergence.compute(), rel=1e-12)]
    assert json.loads(done.stdout.splitlines()[-1]) == [single, single]


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_ids_of_any_size_are_kept_apart(evaluator):
    # Float64 holds 2**60 and 2**60 + 1 as the same number, 32 bits 7 and 7 + 2**32.
    found = {"boxes": box(0, 0, 50, 50), "labels": torch.tensor([1]), "scores": torch.tensor([0.5])}
    true = {"boxes": box(0, 0, 50, 50), "labels": torch.tensor([1])}
    for one, other in ((2**60, 2**60 + 1), (7, 7 + 2**32), (-1, 0)):
        metric = CocoAP(evaluator=evaluator)
        metric.update([found], [{"image_id": one, **true}])
        metric.update([found], [{"image_id": other, **true}])
        assert metric.compute()["AP"] == pytest.approx(1.0)
        apart = CocoAP(evaluator=evaluator)
        apart.update([found], [{"image_id": 1, **true, "labels": torch.tensor([other])}])
        assert apart.compute()["AP"] == (0.0 if other != 1 else 1.0)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("ids", [(1, 2, 3, 4), (0, 7, 91, 5_000_000)])
def test_detections_are_written_with_the_ids_of_the_file(ids, masks, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from distill_vision.metrics import coco_detections

    preds, targets = scenes()  # noqa: F821
    if not masks:
        preds = [{name: value for name, value in pred.items() if name != "masks"} for pred in preds]
    iou_type = "segm" if masks else "bbox"
    category_ids = dict(enumerate(ids, start=1))
    unknown = {"boxes": box(1, 2, 30, 40), "labels": torch.tensor([9]), "scores": torch.tensor([0.9])}
    assert coco_detections([unknown], targets[:1], category_ids) == []

    # The file that pycocotools reads has the ids themselves.
    from pycocotools import mask

    truth = []
    for target in targets:
        rows = zip(
            target["labels"].tolist(), target["boxes"].double().tolist(), target["area"].double().tolist(), strict=True
        )
        for n, (label, (left, top, right, bottom), area) in enumerate(rows):
            run = mask.encode(np.asfortranarray(target["masks"][n].numpy()))
            run["counts"] = run["counts"].decode("ascii")
            row = {
                "image_id": int(target["image_id"]),
                "category_id": ids[label - 1],
                "area": area,
                "segmentation": run,
            }
            truth.append(row | {"bbox": [left, top, right - left, bottom - top], "iscrowd": int(target["iscrowd"][n])})
    file = tmp_path / "truth.json"
    images = [{"id": int(t["image_id"]), "height": 200, "width": 260} for t in targets]
    annotations = [{**row, "id": number} for number, row in enumerate(truth, start=1)]
    file.write_text(
        json.dumps({"info": {}, "images": images, "annotations": annotations, "categories": [{"id": n} for n in ids]})
    )
    coco = COCO(file)
    results = tmp_path / "results.json"
    results.write_text(json.dumps(coco_detections(preds, targets, category_ids)))
    evaluation = COCOeval(coco, coco.loadRes(str(results)), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    metric = CocoAP(iou_type)
    metric.update(preds, targets)
    assert list(metric.compute().values()) == evaluation.stats.tolist()
