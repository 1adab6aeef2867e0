"""Confusion, segmentation and divergence from the teacher: equal to scikit-learn and to slow derivations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score

from distill_core.errors import DataError
from distill_vision.metrics import ConfusionMatrix, SegmentationScores, TeacherDivergence


def over(metric, *columns, batch: int = 3):
    metric.reset()
    for parts in zip(*(column.split(batch) for column in columns), strict=True):
        metric.update(*parts)
    return metric.compute()


@pytest.mark.parametrize("shape", [(50,), (4, 7, 9)])
def test_the_confusion_matrix_is_scikit_learns(shape):
    preds, target = torch.randn(shape[0], 5, *shape[1:]), torch.randint(5, shape)
    confusion = ConfusionMatrix(5)
    cells = over(confusion, preds, target)
    expected = confusion_matrix(target.flatten().numpy(), preds.argmax(1).flatten().numpy(), labels=range(5))
    assert np.array_equal(confusion.matrix().numpy(), expected)
    assert cells == {f"{i} as {j}": expected[i, j] for i in range(5) for j in range(5) if expected[i, j]}
    over(confusion, preds.argmax(1), target)
    assert np.array_equal(confusion.matrix().numpy(), expected)


def test_ignored_labels_do_not_count_and_wrong_ones_are_named():
    confusion = ConfusionMatrix(3, ignore_index=255)
    preds = torch.tensor([[0, 1, 2]])
    assert over(confusion, preds, torch.tensor([[0, 255, 1]])) == {"0 as 0": 1, "1 as 2": 1}
    with pytest.raises(DataError) as error:
        over(confusion, preds, torch.tensor([[0, -1, 3]]))
    assert str(error.value) == (
        "2 labels or predictions are not from 0 to 2 (the ignored label is 255)"
        "\n  hint: include the background in `num_classes`; name a label to ignore with `ignore_index`"
    )
    with pytest.raises(DataError, match=r"^3 labels or predictions are not from 0 to 1\n"):
        over(ConfusionMatrix(2), torch.tensor([0, 1, 2]), torch.tensor([-1, 2, 0]))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError) as error:
        ConfusionMatrix(4).update(torch.zeros(2, 3, 5, 5), torch.zeros(2, 5, 5, dtype=torch.long))
    assert str(error.value) == (
        "predictions must be scores (batch, 4, …) or classes (batch, …), and targets (batch, …),"
        " got (2, 3, 5, 5) and (2, 5, 5)"
    )


@pytest.mark.parametrize("present", [[0, 1, 2, 3], [0, 2], [1]])
def test_mean_iou_is_scikit_learns_over_the_classes_that_occur(present):
    generator = torch.Generator().manual_seed(len(present))
    target = torch.tensor(present)[torch.randint(len(present), (5, 8, 6), generator=generator)]
    preds = torch.where(torch.rand(target.shape, generator=generator) < 0.6, target, 3)
    ignored = torch.rand(target.shape, generator=generator) < 0.2
    scores = over(SegmentationScores(6), preds, torch.where(ignored, 255, target))
    true, guessed = target[~ignored].numpy(), preds[~ignored].numpy()
    occurring = sorted(set(true) | set(guessed))
    assert scores["miou"] == pytest.approx(jaccard_score(true, guessed, labels=occurring, average="macro"), abs=1e-11)
    assert scores["pixel_accuracy"] == pytest.approx((true == guessed).mean(), abs=1e-11)
    by_class = [(guessed[true == label] == label).mean() for label in sorted(set(true))]
    assert scores["mean_accuracy"] == pytest.approx(np.mean(by_class), abs=1e-11)


def test_a_class_that_does_not_occur_has_no_iou():
    scores = SegmentationScores(3)
    scores.update(torch.tensor([[[0, 2]]]), torch.tensor([[[0, 0]]]))
    assert scores.per_class().isnan().tolist() == [False, True, False]
    assert scores.per_class()[[0, 2]].tolist() == [0.5, 0.0]


def test_only_ignored_pixels_are_no_samples():
    with pytest.raises(DataError) as error:
        over(SegmentationScores(3), torch.zeros(1, 2, 2, dtype=torch.long), torch.full((1, 2, 2), 255))
    assert str(error.value) == "`ConfusionMatrix` has no samples to measure: the loader yielded no batch"


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_divergence_is_its_definition(temperature):
    student, teacher = torch.randn(20, 7), 3 * torch.randn(20, 7)

    def probabilities(logits):
        powers = np.exp(logits.double().numpy() / temperature)
        return powers / powers.sum(1, keepdims=True)

    p, q = probabilities(teacher), probabilities(student)
    expected = (p * np.log(p / q)).sum(1).mean()
    assert over(TeacherDivergence(temperature), student, teacher) == pytest.approx(expected, rel=1e-12)
    assert over(TeacherDivergence(temperature), teacher, teacher) == 0.0


def test_no_samples_and_other_shapes_are_refused():
    with pytest.raises(DataError) as error:
        TeacherDivergence().compute()
    assert str(error.value) == "`TeacherDivergence` has no samples to measure: the loader yielded no batch"
    with pytest.raises(ValueError) as wrong:
        TeacherDivergence().update(torch.zeros(3, 2), torch.zeros(3, 4))
    assert str(wrong.value) == (
        "scores of student and teacher must have the same shape (batch, classes), got (3, 2) and (3, 4)"
    )
