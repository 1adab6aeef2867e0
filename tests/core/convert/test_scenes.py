"""Files of torchdistill for masks and boxes: they convert, pass the deep check, and train."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_core.cli._load import build_experiment, load_document
from distill_core.cli.inspect._check import check_file
from distill_core.convert import convert_torchdistill
from distill_core.train import Trainer

from .old_head_rcnn import GHND
from .old_ktaad import KTAAD
from .old_scenes import SEGMENTATION
from .scene_data import write_scenes

pytest.importorskip("pycocotools")

SCENES = {"segmentation": SEGMENTATION, "ktaad": KTAAD, "ghnd": GHND}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root)
    return root


def converted(name: str, root: Path, folder: Path, **options: bool) -> Path:
    old, new = folder / "old.yaml", folder / "new.yaml"
    old.write_text(SCENES[name].replace("ROOT", str(root)))
    result = convert_torchdistill(old, **options)
    assert not result.report.lost, [str(finding) for finding in result.report.lost]
    new.write_text(result.text)
    return new


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_a_file_converts_without_loss_and_passes_the_deep_check(name, as_published, root, tmp_path, capsys):
    check_file(converted(name, root, tmp_path, as_published=as_published), deep=True)
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize("name", SCENES)
def test_a_converted_file_trains_two_batches_of_each_stage(name, root, tmp_path):
    new = converted(name, root, tmp_path)
    experiment = build_experiment(load_document(new, ["callbacks=[]", "test=null"]))
    before = {key: value.clone() for key, value in experiment.models["student"].state_dict().items()}
    Trainer(experiment, output=tmp_path / "run").fit()
    after = experiment.models["student"].state_dict()
    assert any(not before[key].equal(after[key]) for key in before)
