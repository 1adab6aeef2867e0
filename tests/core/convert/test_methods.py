"""Every method of torchdistill: its file converts, passes the deep check, and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from distill_core.cli._load import build_experiment, load_document
from distill_core.cli.inspect._check import check_file
from distill_core.convert import convert_torchdistill
from distill_core.train import Trainer

from .old_files import FILES

CORRECTED = {"kd_without_labels", "spkd", "dist_plus", "fsp", "cckd", "sskd", "ickd", "kr"}
"""Methods whose loss or data differs from the paper in torchdistill."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for split, name in (("train", "a"), ("train", "b"), ("val", "a"), ("val", "b")):
        folder = root / "folder" / split / name
        folder.mkdir(parents=True)
        for number in range(4):
            Image.effect_noise((40, 40), 50).convert("RGB").save(folder / f"{number}.png")
    return root


def converted(name: str, root: Path, folder: Path, **options: bool) -> tuple[Path, object]:
    old, new = folder / "old.yaml", folder / "new.yaml"
    old.write_text(FILES[name].replace("ROOT", str(root)))
    result = convert_torchdistill(old, **options)
    new.write_text(result.text)
    return new, result.report


@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_a_file_converts_without_loss_and_passes_the_deep_check(name: str, as_published, root, tmp_path, capsys):
    new, report = converted(name, root, tmp_path, as_published=as_published)
    assert not report.lost, [str(finding) for finding in report.lost]
    losses = {finding.place.split(".")[-1] for finding in report if finding.outcome == "corrected"} - {"teacher"}
    if not as_published:
        assert bool(losses) == (name in CORRECTED)
    check_file(new, deep=True)
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_converted_file_trains_two_batches_of_each_stage(name: str, root: Path, tmp_path: Path):
    new, _ = converted(name, root, tmp_path)
    experiment = build_experiment(load_document(new, ["callbacks=[]", "test=null"]))
    before = {key: value.clone() for key, value in experiment.models["teacher"].state_dict().items()}
    Trainer(experiment, output=tmp_path / "run").fit()
    after = experiment.models["teacher"].state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
