"""Everything that a report says of a student and its teacher, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ...errors import DataError
from ._agreement import Agreement, agreement, confusion
from ._calibration import Reliability, calibration
from ._cka import cka_matrix
from ._collector import Example, OutputCollector

Show = Callable[[Tensor], bytes | str | None]


@dataclass(frozen=True)
class ClassAccuracy:
    """The accuracy of both models on the samples of a class."""

    name: str
    count: int
    student: float
    teacher: float


@dataclass(frozen=True)
class ShownExample:
    """A sample with a large loss of the student.

    Attributes:
        index: Its position in the data.
        loss: The cross-entropy of the student.
        content: A PNG file, or text; None if it cannot be shown.
        target: Its class.
        student: The student's prediction, with its probability.
        teacher: The teacher's prediction, with its probability.
    """

    index: int
    loss: float
    content: bytes | str | None
    target: str
    student: tuple[str, float]
    teacher: tuple[str, float]


@dataclass(frozen=True)
class ModelComparison:
    """A student against its teacher on the same samples.

    Attributes:
        num_samples: Number of samples.
        agreement: What their predictions have in common.
        student: The student's reliability diagrams before and after temperature scaling.
        teacher: The teacher's.
        classes: Names of the classes.
        confusion: Confusion matrix of the student minus that of the teacher, a row for each class.
        by_class: Accuracy for each class that has samples.
        student_stages: Names of the student's stages.
        teacher_stages: Names of the teacher's stages.
        cka: Linear CKA of each student's stage (row) with each teacher's; empty without stages.
        examples: The samples with the largest loss of the student.
    """

    num_samples: int
    agreement: Agreement
    student: tuple[Reliability, Reliability]
    teacher: tuple[Reliability, Reliability]
    classes: tuple[str, ...]
    confusion: list[list[int]]
    by_class: list[ClassAccuracy]
    student_stages: tuple[str, ...]
    teacher_stages: tuple[str, ...]
    cka: list[list[float]]
    examples: list[ShownExample]


def compare_models(
    collector: OutputCollector,
    *,
    classes: Sequence[str] = (),
    student_stages: Sequence[str] = (),
    teacher_stages: Sequence[str] = (),
    show: Show = lambda value: None,  # noqa: ARG005
) -> ModelComparison:
    """Compare the outputs that a collector has kept.

    Args:
        collector: The outputs.
        classes: Names of the classes; their numbers by default.
        student_stages: Names of the student's features.
        teacher_stages: Names of the teacher's features.
        show: Returns a PNG file or text for the input of a sample.

    Raises:
        DataError: There is no sample with a class.
    """
    student, teacher, target = collector.outputs()
    counted = target >= 0
    if not bool(counted.any()) or int(target.max()) >= student.shape[1]:
        message = f"models can be compared on classes from 0 to {student.shape[1] - 1}"
        raise DataError(message)
    names = tuple(classes) if len(classes) == student.shape[1] else tuple(map(str, range(student.shape[1])))
    examples = [_shown(each, names, student, teacher, target, show) for each in collector.examples]
    student, teacher, target = student[counted], teacher[counted], target[counted]
    matrices = confusion(student, target), confusion(teacher, target)
    return ModelComparison(
        num_samples=len(target),
        agreement=agreement(student, teacher, target),
        student=calibration(student, target),
        teacher=calibration(teacher, target),
        classes=names,
        confusion=(matrices[0] - matrices[1]).tolist(),
        by_class=_by_class(names, *matrices),
        student_stages=tuple(student_stages),
        teacher_stages=tuple(teacher_stages),
        cka=cka_matrix(*collector.stage_features()) if student_stages and teacher_stages else [],
        examples=examples,
    )


def _by_class(names: Sequence[str], student: Tensor, teacher: Tensor) -> list[ClassAccuracy]:
    counts = student.sum(1).tolist()
    right = student.diagonal().tolist(), teacher.diagonal().tolist()
    rows = zip(names, counts, *right, strict=True)
    return [ClassAccuracy(name, count, own / count, other / count) for name, count, own, other in rows if count]


def _shown(
    example: Example, names: Sequence[str], student: Tensor, teacher: Tensor, target: Tensor, show: Show
) -> ShownExample:
    def predicted(logits: Tensor) -> tuple[str, float]:
        probability, label = logits[example.index].softmax(0).max(0)
        return names[int(label)], float(probability)

    return ShownExample(
        index=example.index,
        loss=example.loss,
        content=show(example.value),
        target=names[int(target[example.index])],
        student=predicted(student),
        teacher=predicted(teacher),
    )
