"""Models with a bottleneck: the converted student has the names and shapes of published weights."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch

from distill_core.cli._load import build_experiment, load_document
from distill_core.convert import convert_torchdistill

from .old_files import KD, file, side, stage, wrapped
from .test_methods import root  # noqa: F401 - a fixture

PUBLISHED = Path(__file__).parents[2] / "vision/models/sc2_state_dicts.tsv"
CLASSIFIERS = {
    "resnet152": ("layer2", "ResNet152_Weights", "[conv1, bn1, relu, maxpool, layer1, layer2]"),
    "densenet169": ("features.transition2", "DenseNet169_Weights", "[features]"),
    "inception_v3": ("+maxpool2", "Inception_V3_Weights", "[Conv2d_1a_3x3, +maxpool1, Conv2d_4a_3x3, +maxpool2]"),
}
POOL = "{key: MaxPool2d, kwargs: {kernel_size: 3, stride: 2}}"
POOLS = f"adaptations: {{maxpool1: {POOL}, maxpool2: {POOL}}}\n"


def hnd(name: str, weights: str = "") -> str:
    """Return a file for head network distillation, as the published ones write it."""
    target, _, sequence = CLASSIFIERS[name]
    teacher = side(learns=False, more=f"sequential: {sequence}\n" + (POOLS if "+" in target else ""))
    student = side(more="sequential: [bottleneck_layer]\n")
    text = file(stage(wrapped("hint", "bottleneck_layer", target), student=student, teacher=teacher))
    arguments = f"bottleneck_channel: 12, bottleneck_idx: 7, compressor: , decompressor: , num_classes: 1000{weights}"
    text = text.replace("'resnet32'", f"'{name}'").replace("'resnet20'", f"'custom_{name}'")
    head, _, tail = text.partition("student_model:")
    tail = tail.replace("kwargs: {num_classes: 2}", f"kwargs: {{{arguments}}}", 1)
    return f"{head}student_model:{tail}".replace(
        "  src_ckpt:\n    dst", "  repo_or_dir: REPOSITORY\n    src_ckpt:\n    dst"
    ).replace("REPOSITORY", "'yoshitomo-matsubara/sc2-benchmark:main'")


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_published_weights_fit(name: str, weights: bool, root: Path, tmp_path: Path):  # noqa: F811
    chosen = f", weights: !getattr [!import_get {{key: 'torchvision.models.{CLASSIFIERS[name][1]}'}}, IMAGENET1K_V1]"
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(hnd(name, chosen if weights else "").replace("ROOT", str(root)))
    converted = convert_torchdistill(old)
    assert not converted.report.lost, [str(finding) for finding in converted.report.lost]
    new.write_text(converted.text)
    with torch.device("meta"):
        student = build_experiment(load_document(new)).models["student"]
    with PUBLISHED.open(encoding="utf-8", newline="") as rows:
        published = {
            row["name"]: [int(size) for size in row["shape"].split(",") if size]
            for row in csv.DictReader(rows, delimiter="\t")
            if row["model"] == name and row["name"] != "(all)"
        }
    assert published.items() <= {key: list(value.shape) for key, value in student.state_dict().items()}.items()
    assert ("the later layers are trained" in str([str(finding) for finding in converted.report])) == weights
    assert not re.search(r"\bbottleneck_", converted.text.replace("bottleneck_layer", ""))


def test_inception_of_torchvision_changes_its_input_only_if_its_own_forward_runs(tmp_path: Path):
    chosen = "weights: !getattr [!import_get {key: 'torchvision.models.Inception_V3_Weights'}, IMAGENET1K_V1]"
    for text, changes in ((file(stage(KD)), True), (hnd("inception_v3"), False)):
        text = re.sub(
            r"teacher_key '\w+'\n    kwargs: \{", f"teacher_key 'inception_v3'\n    kwargs: {{{chosen}, ", text, count=1
        )
        old = tmp_path / "old.yaml"
        old.write_text(text)
        assert ("transform_input: true" in convert_torchdistill(old).text) == changes


def test_a_compressor_and_another_repository_are_lost(tmp_path: Path):
    old = tmp_path / "old.yaml"
    for before, after in (
        ("compressor: ,", "compressor: {key: a},"),
        ("idx: 7", "idx: 6"),
        ("yoshitomo-matsubara/", "me/"),
    ):
        text = hnd("resnet152")
        assert before in text
        old.write_text(text.replace(before, after, 1))
        line = text[: text.index(before)].count("\n") + 1
        assert line in {finding.line for finding in convert_torchdistill(old).report.lost}
