"""`distill new --teacher --data`: the student that is chosen, the size of images and the number of epochs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from torch import nn


def written(distill, file, *words) -> str:
    """Write an experiment and return its text."""
    ended = distill("new", file, *words)
    assert ended.code == 0, ended.err
    return Path(file).read_text(encoding="utf-8")


def test_candidates_are_smaller_than_the_teacher(distill, images):
    ended = distill("new", "first.yaml", "--teacher", "distill_vision.models.resnet20", "--data", "pictures")
    record = distill(
        "new", "second.yaml", "--teacher", "distill_vision.models.resnet20", "--data", "pictures", "--json"
    )
    students = json.loads(record.out)["students"]
    assert all(f"student: {each['name']}" in ended.out for each in students)
    assert [each["parameters"] > 0 for each in students if each["chosen"]] == [True]
    lines = [line for line in ended.out.splitlines() if line.startswith("student: ")]
    assert [each["seconds"] for each in students] == sorted(each["seconds"] for each in students)
    assert not any("resnet56" in line or "resnet20" in line for line in lines)
    assert [line for line in lines if line.endswith("← in the file")]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"": 10.0, "third": 4.0, "half": 6.0, "most": 7.0}, "half"),
        ({"": 10.0, "third": 4.0, "half": 12.0, "most": 7.0}, "third"),
        ({"": 10.0, "third": 11.0, "half": 12.0, "most": 10.5}, "most"),
        ({"": 10.0, "third": 11.0, "half": 9.5, "most": 9.0}, "half"),
    ],
)
def test_the_student_is_half_of_the_teacher_and_faster(seconds, expected):
    from distill_core.cli.setup.from_teacher import _write
    from distill_core.cli.setup.from_teacher._models import Call
    from distill_core.cli.setup.from_teacher._recipe import Candidate

    sizes = {"": 100, "third": 33, "half": 50, "most": 90}
    students = [Candidate(name, Call(name, name, []), name, nn.Identity()) for name in ("third", "half", "most")]
    chosen = _write._chosen(students, sizes, seconds)
    assert chosen.name == expected
    assert bool(_write._slow(chosen, seconds, given=False)) == (seconds[expected] > 10)


def test_images_keep_their_size_for_a_teacher_that_learns(distill, images):
    pytest.importorskip("timm")
    command = ["--data", "pictures", "--student", "resnet10t"]
    text = written(distill, "first.yaml", "--teacher", "resnet18", *command)
    assert "# size: images have 40 pixels, and the teacher, which is trained here, accepts 64\n" in text
    assert text.count("size: 64, ") == 3
    # The positions of a transformer fix its size.
    text = written(distill, "second.yaml", "--teacher", "vit_tiny_patch16_224", *command)
    assert text.count("size: 224, ") == 3


def test_the_number_of_epochs_follows_from_the_number_of_images(distill, images):
    teacher = ["--teacher", "distill_vision.models.resnet20", "--data", "pictures"]
    student = ["--student", "distill_vision.models.convnet width=8 in_channels=3"]
    few = written(distill, "few.yaml", *teacher, *student)
    assert few.count("epochs: 100 ") == 2
    for name in ("cat", "dog", "my cow"):
        for number in range(6, 4000):
            os.link("pictures/train/cat/0.png", f"pictures/train/{name}/{number}.png")
    lines = written(distill, "many.yaml", *teacher, *student).splitlines()
    steps = 10_800 // 64  # a tenth of 12,000 is held out
    epochs = -(-5000 // steps)
    assert f"  - {f'epochs: {epochs}':<33}# the student: {epochs * steps:,} steps of 64 samples" in lines
