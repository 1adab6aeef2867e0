"""Agreement, calibration, CKA and costs against plain loops and other libraries."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from distill_core.errors import DataError
from distill_core.report.comparison import (
    OutputCollector,
    agreement,
    calibration,
    cka_matrix,
    compare_models,
    confusion,
    fit_temperature,
    linear_cka,
    measure_costs,
    reliability,
    to_png,
)


def outputs(samples: int = 400, classes: int = 4, noise: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(classes, (samples,), generator=generator)
    base = 3 * nn.functional.one_hot(target, classes).float()
    return (*(base + noise * torch.randn(samples, classes, generator=generator) for _ in range(2)), target)


def test_agreement_is_that_of_a_loop() -> None:
    student, teacher, target = outputs()
    same = right = only_teacher = only_student = wrong = same_error = 0
    kl = 0.0
    for own, other, label in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        a, b = own.index(max(own)), other.index(max(other))
        same += a == b
        right += a == label == b
        only_teacher += a != label == b
        only_student += b != label == a
        wrong += a != label != b
        same_error += a != label and a == b
        p, q = (np.exp(x) / np.exp(x).sum() for x in (np.array(other), np.array(own)))
        kl += float((p * np.log(p / q)).sum())
    found = agreement(student, teacher, target)
    assert found.agreement == pytest.approx(same / 400)
    assert found.kl == pytest.approx(kl / 400)
    counts = (found.both_right, found.only_teacher_right, found.only_student_right, found.both_wrong, found.same_error)
    assert counts == (right, only_teacher, only_student, wrong, same_error)
    assert found.error_overlap == pytest.approx(wrong / (wrong + only_teacher + only_student))


def test_confusion_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix

    student, _, target = outputs()
    assert confusion(student, target).tolist() == confusion_matrix(target, student.argmax(1)).tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_ece_is_that_of_a_loop_and_of_scikit_learn(temperature: float) -> None:
    from sklearn.calibration import calibration_curve

    student, _, target = outputs()
    found = reliability(student, target, temperature=temperature)
    probabilities = (student.double() / temperature).softmax(1).numpy()
    sure, right = probabilities.max(1), probabilities.argmax(1) == target.numpy()
    ece = 0.0
    for number in range(15):
        inside = (sure > number / 15) & (sure <= (number + 1) / 15)
        if inside.any():
            ece += abs(right[inside].mean() - sure[inside].mean()) * inside.sum() / len(sure)
    assert found.ece == pytest.approx(ece)
    accuracy, confidence = calibration_curve(right, sure, n_bins=15)
    assert found.accuracy == pytest.approx(tuple(accuracy))
    assert found.confidence == pytest.approx(tuple(confidence))
    assert sum(found.count) == 400


def test_the_temperature_has_the_least_likelihood_of_a_grid() -> None:
    from scipy.optimize import minimize_scalar

    student, _, target = outputs()

    def loss(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(student.double() / math.exp(log_temperature), target))

    best = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(student, target) == pytest.approx(math.exp(best.x), rel=1e-4)


def test_scaled_logits_are_scaled_back() -> None:
    student, _, target = outputs(noise=1.0)
    assert fit_temperature(7 * student, target) == pytest.approx(7 * fit_temperature(student, target), rel=1e-6)
    before, after = calibration(7 * student, target)
    assert after.ece < before.ece
    assert (before.temperature, sum(before.count), sum(after.count)) == (1.0, 200, 200)


def slow_cka(first: Tensor, second: Tensor) -> float:
    """HSIC of the centred Gram matrices, the definition."""
    n = len(first)
    centre = torch.eye(n) - torch.ones(n, n) / n
    grams = [centre @ (features @ features.T) @ centre for features in (first, second)]

    def hsic(one: Tensor, two: Tensor) -> float:
        return float((one * two).sum())

    return hsic(*grams) / math.sqrt(hsic(grams[0], grams[0]) * hsic(grams[1], grams[1]))


@pytest.mark.parametrize(("channels", "others"), [(3, 3), (2, 40), (40, 60)])
def test_cka_is_that_of_gram_matrices(channels: int, others: int) -> None:
    first, second = torch.randn(20, channels), torch.randn(20, others)
    mixed = first @ torch.randn(channels, others) + second
    assert linear_cka(first, mixed) == pytest.approx(slow_cka(first, mixed), rel=1e-4)
    rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
    assert linear_cka(first, 2 * first @ rotation + 5) == pytest.approx(1.0)
    assert linear_cka(first, torch.ones(20, 4)) == 0.0
    matrix = cka_matrix([first, second], [mixed])
    assert [len(matrix), len(matrix[0])] == [2, 1]


def test_a_collector_keeps_the_worst_samples_of_all_batches() -> None:
    student, teacher, target = outputs(50)
    inputs = torch.arange(50.0).reshape(50, 1, 1, 1).expand(50, 3, 2, 2)
    collector = OutputCollector(num_examples=5)
    for start in range(0, 50, 8):
        part = slice(start, start + 8)
        stages = [student[part]], [teacher[part], teacher[part] ** 2]
        collector.update(student[part], teacher[part], target[part], *stages, example=inputs[part])
    losses = nn.functional.cross_entropy(student, target, reduction="none")
    worst = losses.argsort(descending=True)[:5].tolist()
    assert [each.index for each in collector.examples] == worst
    assert [float(each.value[0, 0, 0]) for each in collector.examples] == worst
    found = compare_models(collector, student_stages=["a"], teacher_stages=["b", "c"], classes=["w", "x", "y", "z"])
    assert found.cka[0][0] == pytest.approx(slow_cka(student, teacher), rel=1e-4)
    assert [each.target for each in found.examples] == ["wxyz"[target[index]] for index in worst]
    assert sum(each.count for each in found.by_class) == 50
    right = sum(each.count * each.student for each in found.by_class)
    assert right == pytest.approx(int((student.argmax(1) == target).sum()))
    assert sum(map(sum, found.confusion)) == 0


def test_outputs_that_are_not_logits_of_classes_are_refused() -> None:
    maps = torch.zeros(2, 3, 4, 4)
    with pytest.raises(DataError, match=r"logits \(samples, classes\).*got \(2, 3, 4, 4\)"):
        OutputCollector().update(maps, maps, torch.zeros(2, 4, 4))
    collector = OutputCollector()
    collector.update(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(DataError, match="classes from 0 to 2"):
        compare_models(collector)


def test_an_image_is_the_png_that_pillow_reads() -> None:
    image = torch.rand(3, 5, 7) * 4 - 2
    read = np.asarray(Image.open(io.BytesIO(to_png(image) or b"")))
    scaled = (image - image.min()) / (image.max() - image.min()) * 255
    assert read.shape == (5, 7, 3)
    assert np.abs(read - scaled.permute(1, 2, 0).numpy()).max() <= 0.51
    grey = Image.open(io.BytesIO(to_png(torch.rand(1, 4, 4)) or b""))
    assert (grey.mode, grey.size) == ("L", (4, 4))
    assert [to_png(torch.zeros(shape)) for shape in ((4,), (5, 4, 4), (3, 0, 4))] == [None] * 3


def test_costs_are_counted() -> None:
    models = {"wide": nn.Linear(64, 128), "small": nn.Sequential(nn.Linear(64, 2, bias=False), nn.BatchNorm1d(2))}
    costs = measure_costs(models, {name: ((torch.zeros(3, 64),), {}) for name in models})
    assert (costs["wide"].parameters, costs["wide"].flops) == (64 * 128 + 128, 2 * 3 * 64 * 128)
    assert costs["wide"].weight_bytes == 4 * (64 * 128 + 128)
    assert costs["small"].weight_bytes == 4 * (128 + 2 + 2 + 2 + 2) + 8
    assert all(cost.seconds > 0 for cost in costs.values())
