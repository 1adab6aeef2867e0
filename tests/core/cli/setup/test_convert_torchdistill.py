"""`distill convert-torchdistill`: its report, its exit code, and the file that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ...convert.old_detection import DETECTION
from ...convert.old_files import FILES
from ...convert.old_glue import GLUE


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kd.yaml").write_text(FILES["kd"])
    Path("glue.yaml").write_text(GLUE)


def test_a_file_is_written_with_a_report_and_passes_the_check(distill):
    ended = distill("convert-torchdistill", "glue.yaml", "new/glue.yaml")
    assert (ended.err, ended.code) == ("", 0)
    assert re.fullmatch(r"glue.yaml → new/glue.yaml: \d+ exact, [1-9] corrected, 0 lost", ended.out.splitlines()[0])
    new = Path("new/glue.yaml").read_text()
    for line in (
        "task: sst2",
        "name_or_path: google/bert_uncased_L-2_H-128_A-2",
        "scheduler_step: step",
        "{temperature: 1.0}",
    ):
        assert line in new
    again = distill("convert-torchdistill", "glue.yaml", "new/glue.yaml")
    assert (again.code, "exists" in again.err) == (2, True)


def test_a_file_of_detection_keeps_its_batches_of_similar_shapes(distill):
    Path("detection.yaml").write_text(DETECTION)
    ended = distill("convert-torchdistill", "detection.yaml", "new.yaml")
    assert (ended.err, ended.code) == ("", 0)
    assert "train.train_data_loader.batch_sampler: each image occurs once per epoch" in ended.out
    new = Path("new.yaml").read_text()
    assert new.count("!import_call:distill_vision.data.coco_detection") == 2
    assert new.count("group_by_shape: 3") == 1
    assert "root: resource/dataset/coco2017" in new


def test_what_is_lost_ends_with_1_and_no_traceback(distill):
    Path("glue.yaml").write_text(GLUE.replace("'sst2'\n    raw", "'nothing'\n    raw"))
    ended = distill("convert-torchdistill", "glue.yaml")
    assert (ended.err, ended.code) == ("", 1)
    assert "there is no GLUE task 'nothing' (choose from cola, " in ended.out
    assert "models: line 6 could not be converted, and this depends on it" in ended.out
    assert "not a key that torchdistill reads" not in ended.out


def test_a_folder_is_converted_with_its_names_as_json(distill):
    ended = distill("convert-torchdistill", ".", "new", "--json")
    records = json.loads(ended.out)
    assert ended.code == 0
    assert [(record["old"], record["new"]) for record in records] == [
        ("glue.yaml", "new/glue.yaml"),
        ("kd.yaml", "new/kd.yaml"),
    ]
    assert all({"line", "outcome", "place", "message", "hint"} == finding.keys() for finding in records[0]["findings"])


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_of_torchdistill_is_recognised(distill, command):
    ended = distill(command, "kd.yaml")
    assert ended.code == 2
    assert "convert-torchdistill" in ended.err
