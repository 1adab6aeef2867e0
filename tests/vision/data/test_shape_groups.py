"""Batches of images of similar shape."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from distill_core.data import Loader, SeedPath
from distill_core.errors import DataError
from distill_vision.data import coco_detection
from distill_vision.data._shape_groups import GroupedBatches, shape_groups

from .coco_files import picture, thing, write

GROUPS = [0, 1, 1, 0, 2, 1, 0, 0, 1, 2, 0, 1, 1]


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_group_holds_the_ratios_between_two_powers(factor):
    ratios = [0.3, 0.5, 0.6, 0.75, 1.0, 1.2, 1.34, 1.9, 2.0, 3.5]
    groups = shape_groups([(1000, round(1000 * ratio)) for ratio in ratios], factor)
    assert groups == sorted(groups)
    for (one, other), (ratio, following) in zip(pairwise(groups), pairwise(ratios), strict=True):
        between = [n for n in range(-factor, factor + 1) if ratio < 2 ** (n / factor) <= following]
        assert other - one == len(between)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_hold_one_group_and_every_sample_once(shuffle, drop_last):
    torch.manual_seed(0)
    batches = GroupedBatches(GROUPS, 2, shuffle=shuffle, drop_last=drop_last)
    epochs = [list(batches) for _ in range(3)]
    for epoch in epochs:
        assert len(epoch) == len(batches)
        assert all(len({GROUPS[sample] for sample in batch}) == 1 for batch in epoch)
        seen = Counter(sample for batch in epoch for sample in batch)
        assert set(seen.values()) == {1}
        assert len(seen) == (12 if drop_last else 13)
    sizes = {tuple(map(len, epoch)) for epoch in epochs}
    assert len(sizes) == 1
    assert (epochs[0] == epochs[1]) is not shuffle


def test_two_processes_get_as_many_batches_in_every_epoch(monkeypatch):
    monkeypatch.setattr("distill_core.data._loader.world_size", lambda: 2)
    data = [{"input": torch.zeros(1), "target": 0}] * 13
    loader = Loader(data, batch_sampler=GroupedBatches(GROUPS, 4))
    counts = {len(loader.plan(SeedPath(epoch=epoch), even=True).indices) for epoch in range(8)}
    assert len(counts) == 1


@pytest.mark.parametrize(("options", "message"), [({"group_by_shape": -1}, "at least 1"), ({"group_by_shape": 1, "batch_size": 9, "drop_last": True}, "no group")])  # fmt: skip
def test_what_cannot_be_grouped_is_refused(tmp_path, options, message):
    write(tmp_path, "train")
    with pytest.raises(DataError, match=message):
        coco_detection("train", root=tmp_path, holdout=0, **{"batch_size": 1, **options})


def test_a_loader_of_boxes_groups_its_images_by_shape(tmp_path):
    shapes = [(40, 60), (60, 40), (40, 62), (62, 40)]
    images = [picture(n, height=height, width=width) for n, (height, width) in enumerate(shapes, start=1)]
    write(tmp_path, "train", images=images, annotations=[thing(n, image_id=n) for n in range(1, 5)])
    for n, (height, width) in enumerate(shapes, start=1):
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(tmp_path / "train2017" / f"{n}.jpg", "PNG")
    loader = coco_detection("train", batch_size=2, root=tmp_path, holdout=0, group_by_shape=3)
    for batch in loader.batches(SeedPath(seed=3)):
        wide = [image.shape[2] > image.shape[1] for image in batch["input"]]
        assert len(wide) == 2
        assert len(set(wide)) == 1
