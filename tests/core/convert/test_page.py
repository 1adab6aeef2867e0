"""The page for users of torchdistill: its example is what the command writes, and its table has what the report corrects."""

from __future__ import annotations

import re
from pathlib import Path

from distill_core.convert import convert_torchdistill

PAGE = Path(__file__).parents[3] / "docs/guides/coming_from_torchdistill.md"
REST = """\
datasets:
  &train cifar10/train: !import_call
    key: torchvision.datasets.CIFAR10
    init: {kwargs: {root: data, train: True, transform: !import_call {key: torchvision.transforms.ToTensor}}}
models:
  teacher_model: {key: resnet56, kwargs: {num_classes: 10}}
  student_model: {key: resnet20, kwargs: {num_classes: 10}}
"""


def test_the_example_is_what_the_command_writes(tmp_path: Path):
    old, new = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "old.yaml"
    file.write_text(REST + old)
    converted = convert_torchdistill(file)
    assert not converted.report.lost, [str(finding) for finding in converted.report.lost]
    assert new in converted.text


def test_the_losses_with_a_mode_for_torchdistill_are_named():
    losses = Path(__file__).parents[3] / "packages/distill-core/src/distill_core/losses"
    with_mode = {
        name
        for file in losses.glob("*.py")
        if '"torchdistill"]' in (text := file.read_text(encoding="utf-8"))
        for name in re.findall(r"^class (\w+Loss)", text, re.MULTILINE)
    }
    named = set(re.findall(r"`(\w+Loss)`", PAGE.read_text(encoding="utf-8").split("`mode: torchdistill`")[1]))
    assert named <= with_mode
    assert with_mode - named <= {"KTAutoencoderLoss", "KTALoss"}  # of the file of AffinityLoss
