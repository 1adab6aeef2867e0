"""Metrics equal scikit-learn's on random and edge cases; two processes with uneven shards equal one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from distill_core.errors import DataError
from distill_vision.metrics import Accuracy, Agreement, CalibrationError


def over(metric, *columns, batch: int = 7) -> float:
    metric.reset()
    for parts in zip(*(column.split(batch) for column in columns), strict=True):
        metric.update(*parts)
    return metric.compute()


@pytest.mark.parametrize("top_k", [1, 2, 5, 9])
@pytest.mark.parametrize("count", [1, 50, 333])
def test_accuracy_is_scikit_learns(top_k, count):
    preds, target = torch.randn(count, 10), torch.randint(10, (count,))
    expected = top_k_accuracy_score(target.numpy(), preds.numpy(), k=top_k, labels=np.arange(10))
    assert over(Accuracy(top_k), preds, target) == pytest.approx(expected, abs=1e-12)


def test_equal_scores_are_decided_as_argmax_does():
    preds, target = torch.randint(3, (500, 6)).float(), torch.randint(6, (500,))
    expected = accuracy_score(target.numpy(), preds.numpy().argmax(1))
    assert over(Accuracy(), preds, target) == pytest.approx(expected, abs=1e-12)


def test_constant_scores_are_right_for_the_first_classes_only():
    assert over(Accuracy(2), torch.zeros(10, 10), torch.arange(10)) == 0.2


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_model_that_gives_nan_is_never_right(top_k):
    assert over(Accuracy(top_k), torch.full((10, 3), torch.nan), torch.arange(10) % 3) == 0.0
    assert over(Accuracy(), torch.tensor([[1.0, torch.nan]]), torch.tensor([0])) == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_low_precision_counts_exactly(dtype):
    preds, target = torch.eye(4, dtype=dtype).repeat(1000, 1), torch.arange(4).repeat(1000)
    target[::8] = (target[::8] + 1) % 4
    assert over(Accuracy(), preds, target, batch=4000) == 0.875


def test_agreement_is_the_accuracy_against_the_teachers_choice():
    student, teacher = torch.randn(100, 10), torch.randn(100, 10)
    expected = accuracy_score(teacher.argmax(1).numpy(), student.argmax(1).numpy())
    assert over(Agreement(), student, teacher) == pytest.approx(expected, abs=1e-12)
    assert over(Agreement(), student, student * 3 + 1) == 1.0


def slow_calibration_error(preds, target, num_bins) -> float:
    """Compute the error bin by bin from NumPy's probabilities."""
    probabilities = np.exp(preds.numpy().astype(float))
    probabilities /= probabilities.sum(1, keepdims=True)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == target.numpy()
    error = 0.0
    for k in range(num_bins):
        chosen = (confidence > k / num_bins) & (confidence <= (k + 1) / num_bins)
        if chosen.any():
            error += chosen.mean() * abs(correct[chosen].mean() - confidence[chosen].mean())
    return error


@pytest.mark.parametrize("num_bins", [1, 2, 15])
@pytest.mark.parametrize("sharpness", [0.1, 1, 5])
def test_calibration_error_is_its_definition(num_bins, sharpness):
    preds, target = torch.randn(400, 10) * sharpness, torch.randint(10, (400,))
    assert over(CalibrationError(num_bins), preds, target) == pytest.approx(
        slow_calibration_error(preds, target, num_bins)
    )


def test_confidence_on_an_edge_belongs_to_the_bin_below():
    # Confidences 0.5 and 0.75, both wrong: one bin (0, 0.5], one (0.5, 1]. Correct answers in other bins do not compensate.
    preds = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]])
    assert over(CalibrationError(2), preds, torch.tensor([1, 0])) == pytest.approx((0.5 + 0.25) / 2)


def test_sure_and_right_is_calibrated_sure_and_wrong_is_not():
    preds = torch.eye(4) * 1000
    assert over(CalibrationError(), preds, torch.arange(4)) == 0.0
    assert over(CalibrationError(), preds, (torch.arange(4) + 1) % 4) == 1.0


@pytest.mark.parametrize(
    "metric", [Accuracy(), Agreement(), CalibrationError()], ids=lambda metric: type(metric).__name__
)
def test_nothing_measured_is_an_error_and_reset_forgets(metric):
    second = torch.randn(3, 2) if isinstance(metric, Agreement) else torch.tensor([0, 1, 0])
    metric.update(torch.randn(3, 2), second)
    metric.compute()
    metric.reset()
    with pytest.raises(DataError) as error:
        metric.compute()
    assert str(error.value) == f"`{type(metric).__name__}` has no samples to measure: the loader yielded no batch"


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError) as error:
        Accuracy().update(torch.zeros(3, 2), torch.zeros(2, dtype=torch.long))
    assert str(error.value) == "scores must be (batch, classes) and targets (batch,), got (3, 2) and (2,)"
    with pytest.raises(ValueError) as error:
        Accuracy(5).update(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
    assert str(error.value) == "`top_k` must be from 1 to the number of classes, 2, got 5"
    with pytest.raises(ValueError) as error:
        Agreement().update(torch.zeros(3, 2), torch.zeros(3, 4))
    assert str(error.value) == (
        "scores of student and teacher must have the same shape (batch, classes), got (3, 2) and (3, 4)"
    )


WORKER = """
import torch, torch.distributed as dist
from distill_vision.metrics import Accuracy, Agreement, CalibrationError
torch.set_num_threads(1)
dist.init_process_group("gloo")
generator = torch.Generator().manual_seed(0)
preds, teacher = torch.randn(103, 10, generator=generator), torch.randn(103, 10, generator=generator)
target = torch.randint(10, (103,), generator=generator)
columns = {"Accuracy": (Accuracy(), target), "Agreement": (Agreement(), teacher), "CalibrationError": (CalibrationError(), target)}
computed = {}
for shares in ([60, 43], [103, 0]):
    own = slice(0, shares[0]) if dist.get_rank() == 0 else slice(shares[0], 103)
    for name, (metric, second) in columns.items():
        metric.reset()
        for a, b in zip(preds[own].split(16), second[own].split(16)):
            if len(a):
                metric.update(a, b)
        computed[f"{name} {shares}"] = metric.compute()
dist.barrier()
dist.destroy_process_group()
if own.start == 0:
    import json; print(json.dumps(computed))
"""


def test_two_processes_with_uneven_shards_equal_one(tmp_path: Path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    import json

    generator = torch.Generator().manual_seed(0)
    preds, teacher = torch.randn(103, 10, generator=generator), torch.randn(103, 10, generator=generator)
    target = torch.randint(10, (103,), generator=generator)
    single = {"Accuracy": over(Accuracy(), preds, target), "Agreement": over(Agreement(), preds, teacher)}
    calibration = over(CalibrationError(), preds, target)
    computed = json.loads(done.stdout.splitlines()[-1])
    assert len(computed) == 6
    for name, value in computed.items():
        kind = name.split()[0]
        assert value == (pytest.approx(calibration, rel=1e-12) if kind == "CalibrationError" else single[kind])


@pytest.mark.gpu
@pytest.mark.parametrize(
    "metric", [Accuracy(2), Agreement(), CalibrationError()], ids=lambda metric: type(metric).__name__
)
def test_a_gpu_computes_the_same_without_waiting(metric):
    preds, other = torch.randn(100, 10), torch.randint(10, (100,))
    other = torch.randn(100, 10) if isinstance(metric, Agreement) else other
    expected = over(metric, preds, other)
    metric.to("cuda")
    metric.reset()
    on_gpu = (preds.cuda(), other.cuda())
    metric.update(*on_gpu)  # the first call may load kernels
    metric.reset()
    torch.cuda.set_sync_debug_mode("error")
    try:
        metric.update(*on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert metric.compute() == pytest.approx(expected, rel=1e-12)
