"""Nothing of an old file is dropped: a changed key, value or tag is reported with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from distill_core.cli._app import app
from distill_core.cli._load import load_document
from distill_core.convert import convert_torchdistill, is_torchdistill
from distill_core.errors import ConfigError

from .old_files import FILES

FREE = {"log_freq", "wrapper", "pair1", "deep", "shallow"}
"""Keys that may be missing, and names that an author chooses."""

MUTATIONS = {
    "key of a stage": ("scheduler:", "sheduler:"),
    "key of a loss": ("alpha: 0.5", "alhpa: 0.5"),
    "another key of a loss": ("temperature: 4.0,", "temperature: 4.0, gama: 1.0,"),
    "loss": ("key: KDLoss", "key: KDLos"),
    "optimizer": ("key: 'SGD'", "key: 'SDG'"),
    "scheduler": ("key: 'MultiStepLR'", "key: 'MultistepLR'"),
    "model": ("'resnet20'", "'resnet21'"),
    "dataset": ("torchvision.datasets.ImageFolder", "custom.datasets.Folder"),
    "dataset id": ("  dataset_id: *train_id", "  dataset_id: nothing"),
    "sampler": ("torch.utils.data.RandomSampler", "custom.sampler.Mine"),
    "argument of a loader": ("pin_memory: True", "pin_memroy: True"),
    "argument of a transform": ("{kwargs: {p: 0.5}}", "{kwarg: {p: 0.5}}"),
    "init": ("    init:\n      kwargs:\n        root: !join [*root_dir, '/train']", "    inti:\n      kwargs:\n        root: !join [*root_dir, '/train']"),
    "tag": ("!import_get", "!import_gte"),
    "forward function": ("forward_proc: 'forward_batch_only'", "forward_proc: 'forward_mine'"),
    "frozen class": ("requires_grad: True", "requires_grad: True\n    frozen_modules: ['instance(BatchNorm2d)']"),
    "top": ("test:\n", "tset:\n"),
    "wrapper": ("requires_grad: True", "requires_grad: True\n    auxiliary_model_wrapper: {key: Mine, kwargs: {a: 1}}"),
    "collate function": ("cache_output:", "collate_fn: mine"),
    "process": ("num_epochs: 1", "num_epochs: 1\n  post_epoch_process: mine"),
    "path": ("student_module_io: 'output'", "student_module_io: 'outputs'"),
    "weight": ("weight: 1.0", "wieght: 1.0"),
    "same key twice": ("log_freq: 10", "log_freq: 10\n  log_freq: 20"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_file_is_lost_at_its_line(name: str, tmp_path: Path):
    old, new = MUTATIONS[name]
    assert old in FILES["kd"]
    text = FILES["kd"].replace(old, new, 1)
    line = text[: FILES["kd"].index(old)].count("\n") + 1
    file = tmp_path / "old.yaml"
    file.write_text(text)
    lost = convert_torchdistill(file).report.lost
    assert lost
    assert any(abs(finding.line - line) <= 3 for finding in lost), [str(finding) for finding in lost]


@pytest.mark.parametrize("name", FILES)
def test_every_misspelt_key_of_training_is_reported(name: str, tmp_path: Path):
    start = FILES[name].index("\ntrain:")
    keys = sorted(set(re.findall(r"(?<=[ {])([a-z]\w+)(?=: )", FILES[name][start:])) - FREE)
    file = tmp_path / "old.yaml"
    for key in keys:
        changed = re.sub(rf"(?<=[ {{]){key}(?=: )", f"{key}x", FILES[name][start:], count=1)
        file.write_text(FILES[name][:start] + changed)
        before = convert_torchdistill(file)
        assert before.report.lost or f"{key}x" in before.text, key


def test_the_command_writes_the_file_and_ends_with_1_if_something_is_lost(tmp_path: Path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(FILES["kd"].replace("ROOT", str(tmp_path)))
    result = CliRunner().invoke(app, ["convert-torchdistill", str(old), str(new), "--json"])
    assert result.exit_code == 0, result.output
    assert {finding["outcome"] for finding in json.loads(result.output)["findings"]} == {"exact", "corrected"}
    assert load_document(new)
    old.write_text(FILES["kd"].replace("'SGD'", "'SDG'"))
    result = CliRunner().invoke(app, ["convert-torchdistill", str(old)])
    assert result.exit_code == 1
    assert "the optimizer 'SDG'" in result.output


def test_a_folder_is_converted_file_by_file(tmp_path: Path):
    for name in ("kd", "at"):
        (tmp_path / "old" / name).mkdir(parents=True)
        (tmp_path / "old" / name / "a.yaml").write_text(FILES[name])
    result = CliRunner().invoke(app, ["convert-torchdistill", str(tmp_path / "old"), str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert sorted(path.parent.name for path in (tmp_path / "new").rglob("*.yaml")) == ["at", "kd"]


@pytest.mark.parametrize("name", FILES)
def test_run_and_check_name_the_command(name: str, tmp_path: Path):
    file = tmp_path / "old.yaml"
    file.write_text(FILES[name])
    assert is_torchdistill(FILES[name])
    with pytest.raises(ConfigError) as error:
        load_document(file)
    assert error.value.problems[0].id == "torchdistill-file"
    assert "distill convert-torchdistill" in error.value.hint


def test_comments_are_kept(tmp_path: Path):
    file = tmp_path / "old.yaml"
    file.write_text(FILES["kd"].replace("  student_model:", "  # The student is small.\n  student_model:  # here"))
    text = convert_torchdistill(file).text
    assert "The student is small." in text
    assert "# A file for the tests." in text


@pytest.mark.parametrize("text", ["models: [", "- a", "a: !x\n\tb", "", "models: &a {b: [*a]}"])
def test_a_file_that_is_not_yaml_is_refused_with_a_location(text: str, tmp_path: Path):
    file = tmp_path / "old.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        convert_torchdistill(file)
