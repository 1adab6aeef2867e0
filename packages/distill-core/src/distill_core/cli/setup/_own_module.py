"""The module and the test that `distill new --task own` writes beside its experiment."""

from __future__ import annotations

import re
from pathlib import Path

MODULE = '''"""Losses of your own. A loss is a module whose `forward` takes tensors by name and returns one number."""

from torch import Tensor, nn


class CentredLoss(nn.Module):
    """The mean difference between the logits of student and teacher, each minus its mean over the classes.

    Args:
        power: Exponent of the difference.
    """

    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the loss of logits (batch, classes)."""
        difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
        return difference.abs().pow(self.power).mean()
'''
TEST = '''"""Tests of the losses beside it."""

import torch
from OWN import CentredLoss


def test_equal_logits_have_no_loss_and_constants_do_not_matter():
    logits = torch.randn(4, 10)
    assert float(CentredLoss()(logits, logits)) == 0
    torch.testing.assert_close(CentredLoss()(logits + 3, logits), torch.tensor(0.0))


def test_the_value_of_an_example():
    student, teacher = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, -3.0]])
    assert float(CentredLoss(power=2.0)(student, teacher)) == 4.0
'''


def own_files(file: Path) -> dict[Path, str]:
    """Return the module and its test for an experiment, by their paths."""
    name = module_name(file)
    return {file.with_name(f"{name}.py"): MODULE, file.with_name(f"test_{name}.py"): TEST.replace("OWN", name)}


def module_name(file: Path) -> str:
    """Return the name of the module for an experiment.

    >>> module_name(Path("my/first-run.yaml"))
    'first_run_losses'
    """
    stem = re.sub(r"\W", "_", file.stem)
    return f"{'run_' if stem[:1].isdigit() or stem.startswith('_') else ''}{stem}_losses"
