"""Values of each class, against scikit-learn."""

from __future__ import annotations

import pytest
import torch

from distill_core.errors import DataError
from distill_vision.metrics import ClassScores, CocoAP, SegmentationScores

NAMES = ["a", "b", "c", "never"]


def _labels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(3, (60,), generator=generator), torch.randint(3, (60,), generator=generator)


def test_scores_of_classes_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    predicted, target = _labels()
    scores = ClassScores(NAMES)
    for part in (slice(0, 17), slice(17, 60)):
        scores.update(torch.nn.functional.one_hot(predicted[part], 4).float(), target[part])
    found = scores.compute()
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        target.numpy(), predicted.numpy(), labels=[0, 1, 2]
    )
    for index, name in enumerate(NAMES[:3]):
        values = [found[f"{kind}.{name}"] for kind in ("precision", "accuracy", "f1")]
        assert values == pytest.approx([precision[index], recall[index], f1[index]])
    assert found["macro_f1"] == pytest.approx(f1.mean())
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(target.numpy(), predicted.numpy()))
    assert not [name for name in found if name.endswith("never")]


def test_iou_of_classes_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    predicted, target = _labels()
    scores = SegmentationScores(4, classes=NAMES)
    scores.update(predicted.view(1, 6, 10), target.view(1, 6, 10))
    expected = metrics.jaccard_score(target.numpy(), predicted.numpy(), average=None)
    found = {name: value for name, value in scores.compute().items() if name.startswith("iou.")}
    assert found == pytest.approx({f"iou.{name}": value for name, value in zip(NAMES, expected, strict=False)})


@pytest.mark.parametrize("classes", [["a"], ["a", "a"], "ab"])
def test_names_must_be_as_many_as_classes(classes):
    with pytest.raises(DataError, match="`classes` must be 2 different names"):
        SegmentationScores(2, classes=classes)


@pytest.mark.parametrize("evaluator", ["faster_coco_eval", "pycocotools"])
def test_ap_of_classes_is_that_of_each_class_alone(evaluator):
    pytest.importorskip(evaluator)
    generator = torch.Generator().manual_seed(0)
    targets, preds = [], []
    for image in range(6):
        corners = torch.rand(4, 2, generator=generator) * 50
        boxes = torch.cat([corners, corners + 20], dim=1)
        labels = torch.tensor([3, 3, 8, 8])
        moved = boxes + torch.rand(4, 4, generator=generator) * 6
        targets.append({"image_id": image, "boxes": boxes, "labels": labels})
        preds.append({"boxes": moved, "labels": labels, "scores": torch.rand(4, generator=generator)})
    metric = CocoAP(evaluator=evaluator, classes={3: "cat", 8: "dog"})
    metric.update(preds, targets)
    found = metric.compute()
    for label, name in metric.classes.items():
        alone = CocoAP(evaluator=evaluator)
        alone.update(
            [{key: value[each["labels"] == label] for key, value in each.items()} for each in preds],
            [
                {key: value if key == "image_id" else value[each["labels"] == label] for key, value in each.items()}
                for each in targets
            ],
        )
        assert found[f"AP.{name}"] == pytest.approx(alone.compute()["AP"])
    assert found["AP"] == pytest.approx((found["AP.cat"] + found["AP.dog"]) / 2)
    nameless = CocoAP(evaluator=evaluator, classes={3: "cat"})
    nameless.update(preds, targets)
    with pytest.raises(DataError, match="no name for the label 8"):
        nameless.compute()
