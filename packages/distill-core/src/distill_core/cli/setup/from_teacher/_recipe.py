"""An experiment as text, and its parts that do not depend on the kind of data."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from ._models import Call


@dataclass(frozen=True)
class Candidate:
    """A student: its call, how the file writes it, and the model that is measured."""

    name: str
    call: Call
    yaml: str
    model: nn.Module


@dataclass(frozen=True)
class Recipe:
    """What is written: the text with `STUDENT` in place of the student's call, and what was found.

    Attributes:
        teacher: The teacher's name.
        about: A line about the data.
        notes: Lines about the teacher, for the terminal.
        text: The experiment.
    """

    teacher: str
    about: str
    text: str
    notes: Sequence[str] = field(default=())


HEAD = """\
# {about}: STUDENT_NAME, distilled from {teacher}. Written by `distill new`; every value may be changed.
#
#   distill check FILE --deep
#   distill run FILE
#
# !import_call:NAME {{…}} imports NAME and calls it with these arguments; !import_partial:NAME {{…}} lets the trainer call it later.

about: {about_text}
seed: 0                              # seeds all randomness

"""
SCHEDULE = """\
    scheduler: !import_partial:torch.optim.lr_scheduler.CosineAnnealingLR {}     # down to 0 at the last step of the stage
    scheduler_step: step
"""


def head(about: str, teacher: str) -> str:
    """Return the first lines of an experiment."""
    return HEAD.format(about=about, teacher=teacher, about_text=quoted(f"STUDENT_NAME from {teacher}"))


def num_epochs(num_samples: int, batch_size: int, steps: int, least: int, most: int) -> int:
    """Return the number of epochs that take about `steps` optimizer steps, between `least` and `most`.

    >>> num_epochs(50_000, 64, 6_000, 10, 100), num_epochs(240, 60, 6_000, 10, 100)
    (10, 100)
    """
    return min(max(math.ceil(steps / _steps_per_epoch(num_samples, batch_size)), least), most)


def epochs_key(epochs: int, num_samples: int, batch_size: int, about: str) -> str:
    """Return the first line of a stage, with the number of its steps."""
    steps = epochs * _steps_per_epoch(num_samples, batch_size)
    return f"  - {f'epochs: {epochs}':<33}# {about}: {steps:,} steps of {batch_size} samples\n"


def _steps_per_epoch(num_samples: int, batch_size: int) -> int:
    return max(1, num_samples // batch_size)


def optimizer(model: nn.Module, *, pretrained: bool) -> str:
    """Return an optimizer for a model: SGD for one with batch normalisation, otherwise AdamW."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):  # noqa: SLF001
        lr = "0.01" if pretrained else "0.05"
        return f"!import_partial:torch.optim.SGD {{lr: {lr}, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4}}"
    return f"!import_partial:torch.optim.AdamW {{lr: {'1.0e-4' if pretrained else '5.0e-4'}, weight_decay: 0.05}}"


def completed(text: str, file: Path, student: Candidate) -> str:
    """Return an experiment with its student and its own name."""
    text = text.replace("STUDENT_NAME", student.name).replace("STUDENT", student.yaml)
    return text.replace("FILE", shlex.quote(str(file)))


def quoted(value: object) -> str:
    """Return a value as a single-quoted YAML string."""
    return "'" + str(value).replace("'", "''") + "'"


def is_pretrained(call: Call) -> bool:
    """Return whether the arguments of a model name weights."""
    return any(call.has(key) for key in ("pretrained", "weights", "checkpoint_path", "path"))
