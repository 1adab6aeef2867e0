"""A metric without values that keeps the outputs of a student and its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...errors import DataError

MAX_FEATURES = 2048
"""Number of samples whose features are kept."""


@dataclass(frozen=True)
class Example:
    """A sample on which the student is bad.

    Attributes:
        index: Its position in the data.
        loss: The cross-entropy of the student.
        value: The input: an image (channels, height, width) or the indices of tokens.
    """

    index: int
    loss: float
    value: Tensor


@final
class OutputCollector:
    """Keeps logits, targets, the features of the first samples, and the samples with the largest loss of the student.

    Args:
        num_examples: Number of samples to keep with their input.
    """

    def __init__(self, num_examples: int = 12) -> None:
        self.num_examples = num_examples
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.logits: list[tuple[Tensor, Tensor, Tensor]] = []
        self.features: tuple[list[list[Tensor]], list[list[Tensor]]] = ([], [])
        self.examples: list[Example] = []
        self.num_samples = 0

    def update(
        self,
        student: Tensor,
        teacher: Tensor,
        target: Tensor,
        student_features: Sequence[Tensor] = (),
        teacher_features: Sequence[Tensor] = (),
        example: Any = None,
    ) -> None:
        """Add a batch.

        Args:
            student: Logits (samples, classes).
            teacher: Logits (samples, classes).
            target: Classes (samples,).
            student_features: Features of each stage (samples, channels).
            teacher_features: Features of each stage (samples, channels).
            example: The inputs of the samples, if they can be shown.

        Raises:
            DataError: The outputs are not logits of the same classes.
        """
        if student.dim() != 2 or student.shape != teacher.shape or target.shape != student.shape[:1]:
            shapes = ", ".join(str(tuple(each.shape)) for each in (student, teacher, target))
            message = f"the models can be compared if both give logits (samples, classes) for classes (samples,), got {shapes}"
            raise DataError(message)
        batch = (student.detach().float().cpu(), teacher.detach().float().cpu(), target.detach().long().cpu())
        self.logits.append(batch)
        if self.num_samples < MAX_FEATURES:
            for kept, given in zip(self.features, (student_features, teacher_features), strict=True):
                kept.append([each.detach().float().flatten(1).cpu() for each in given])
        if isinstance(example, Tensor) and len(example) == len(target):
            self._keep_worst(cross_entropy(batch[0], batch[2], reduction="none"), example)
        self.num_samples += len(target)

    def compute(self) -> dict[str, float]:
        """Return no values."""
        return {}

    def outputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of the student, those of the teacher, and the classes."""
        student, teacher, target = zip(*self.logits, strict=True)
        return torch.cat(student), torch.cat(teacher), torch.cat(target)

    def stage_features(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of each stage of the student and of the teacher."""
        student, teacher = ([torch.cat(stage) for stage in zip(*kept, strict=True)] for kept in self.features)
        return student, teacher

    def _keep_worst(self, losses: Tensor, inputs: Tensor) -> None:
        order = losses.argsort(descending=True)[: self.num_examples].tolist()
        found = [Example(self.num_samples + row, float(losses[row]), inputs[row].detach().cpu()) for row in order]
        self.examples = sorted([*self.examples, *found], key=lambda each: -each.loss)[: self.num_examples]
