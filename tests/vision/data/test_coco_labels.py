"""Labels of COCO files with arbitrary ids and names of categories."""

from __future__ import annotations

import json

import pytest
import torch

from distill_vision.data import coco_detection, coco_segmentation

from .coco_files import read, refusal, thing, write

# Ids of categories and their labels: a detector's classes begin with 1.
LABELS = {
    (1, 2, 3): (1, 2, 3),
    (1, 44, 90): (1, 44, 90),
    (0, 1, 2): (1, 2, 3),
    (0,): (1,),
    (-1, 1): (1, 2),
    (-(2**62), 7, 2**62): (1, 2, 3),
    (3, 91): (1, 2),
    (2_000_000_000, 5_000_000_000): (1, 2),
}


@pytest.mark.parametrize(("ids", "labels"), LABELS.items())
@pytest.mark.parametrize("split", ["train", "test"])
def test_no_category_is_a_detectors_background(ids, labels, split, tmp_path):
    names = [{"id": number, "name": f"kind {number}"} for number in reversed(ids)]
    found = [thing(n, category_id=number) for n, number in enumerate(ids)]
    write(tmp_path, "train" if split == "train" else "val", annotations=found, categories=names)
    loader = coco_detection(split, batch_size=1, root=tmp_path, holdout=0)
    (batch,) = loader
    assert batch["target"][0]["labels"].tolist() == list(labels)
    assert loader.dataset.category_ids == dict(zip(labels, ids, strict=True))
    assert loader.dataset.names == {label: f"kind {number}" for label, number in zip(labels, ids, strict=True)}


def test_a_detector_trains_on_any_ids(tmp_path):
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    ids = (0, -5, 10**12)
    categories = [{"id": number, "name": str(number)} for number in ids]
    write(tmp_path, "train", annotations=[thing(n, category_id=c) for n, c in enumerate(ids)], categories=categories)
    (batch,) = coco_detection("train", batch_size=1, root=tmp_path, holdout=0)
    backbone = torch.nn.Conv2d(3, 8, 3, stride=8)
    backbone.out_channels = 8
    anchors = AnchorGenerator(((16,),), ((1.0,),))
    model = FasterRCNN(backbone, len(ids) + 1, min_size=32, max_size=64, rpn_anchor_generator=anchors)
    losses = model(batch["input"], batch["target"])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_the_training_file_numbers_the_labels_of_all_splits(tmp_path):
    names = [{"id": number, "name": f"kind {number}"} for number in (0, 5, 7)]
    write(tmp_path, "train", categories=names, annotations=[thing(category_id=5)])
    file = write(tmp_path, "val", categories=names[1:], annotations=[thing(category_id=7)])
    assert read(tmp_path)[0]["labels"].tolist() == [3]
    write(tmp_path, "val", categories=[{"id": 7, "name": "other"}], annotations=[])
    train = tmp_path / "annotations" / "instances_train2017.json"
    hint = "\n  hint: list the same categories in both"
    assert refusal(tmp_path) == f"{file} has the category 7 'other', and {train} calls it 'kind 7'{hint}"
    write(tmp_path, "val", categories=[{"id": 8, "name": "kind 8"}], annotations=[])
    assert refusal(tmp_path) == f"{file} has the category 8 'kind 8', and {train} does not have it{hint}"


@pytest.mark.parametrize("order", [["categories", "images", "annotations"], ["images", "annotations", "categories"]])
def test_the_categories_of_the_training_file_are_found_wherever_they_are(order, tmp_path):
    train = write(tmp_path, "train", categories=[{"id": 0, "name": 'käfer [\u2028] "x"'}, {"id": 5, "name": "b"}])
    tables = json.loads(train.read_text())
    tables["annotations"] = []
    info = {"info": {"description": 'about "categories": none'}}
    train.write_text(
        json.dumps({**info, **{name: tables[name] for name in order}}, ensure_ascii=False, indent=1), "utf-8"
    )
    write(tmp_path, "val", categories=[{"id": 5, "name": "b"}], annotations=[thing(category_id=5)])
    assert read(tmp_path)[0]["labels"].tolist() == [2]


def test_scenes_go_by_the_names_of_categories(tmp_path, caplog):
    # The id of COCO's aeroplanes is 5; here it is that of something else.
    categories = [{"id": 5, "name": "tree"}, {"id": 0, "name": "airplane"}]
    triangle = [[31, 2, 55, 2, 55, 30]]
    things = [thing(1, category_id=5), thing(2, category_id=0, segmentation=triangle)]
    write(tmp_path, annotations=things, categories=categories)
    mask = coco_segmentation("test", batch_size=1, root=tmp_path).dataset.mask(0)
    assert mask.unique().tolist() == [0, 1]
    assert mask[:, :31].max() == 0
    coco_segmentation("test", batch_size=1, root=tmp_path, classes=["dog", "aeroplane"])
    assert "has no category 'dog': nothing is labelled as dog" in caplog.text
    assert "has no category for dog\n  hint" in refusal(tmp_path, function=coco_segmentation, classes=["dog"])
