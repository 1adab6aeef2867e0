"""Perplexity, agreement and exact match, computed by hand, in batches, and on two processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from distill_core.errors import DataError
from distill_nlp.metrics import ExactMatch, Perplexity, TokenAgreement

SCRIPT = Path(__file__).parent / "two_processes.py"


def batches():
    """Return samples of different lengths."""
    target = torch.randint(9, (5, 6)).masked_fill(torch.arange(6) > torch.arange(5)[:, None], -100)
    return 3 * torch.randn(5, 6, 9), 3 * torch.randn(5, 6, 9), target


def test_perplexity_does_not_depend_on_the_batches():
    student, _, target = batches()
    expected = math.exp(F.cross_entropy(student.double().flatten(0, 1), target.flatten()).item())
    for sizes, chunk in (([5], 1024), ([1, 4], 4), ([2, 1, 2], 1)):
        metric = Perplexity(chunk)
        for part, answers in zip(student.split(sizes), target.split(sizes), strict=True):
            metric.update(part, answers)
        assert metric.compute() == pytest.approx(expected, rel=1e-6)
    assert Perplexity().compute(predictions=student, references=target) == pytest.approx(expected, rel=1e-6)


def test_perplexity_accepts_masks_and_half_precision_and_refuses_mismatched_shapes():
    student, _, target = batches()
    mask = torch.arange(6) < 2
    metric = Perplexity()
    metric.update(student.bfloat16(), target, mask.expand(5, 6))
    first = F.cross_entropy(student.bfloat16().double()[:, :2].flatten(0, 1), target[:, :2].flatten())
    assert metric.compute() == pytest.approx(math.exp(first), rel=1e-5)
    metric.reset()
    assert math.isnan(metric.compute())
    metric.update(torch.tensor([[[0.0, 1e4]]]), torch.tensor([[0]]))
    assert metric.compute() == math.inf
    with pytest.raises(DataError) as failure:
        metric.update(torch.zeros(2, 3, 4), torch.zeros(2, 4))
    assert str(failure.value) == (
        "`preds` and `target` must be (batch, tokens, vocabulary) and (batch, tokens), got (2, 3, 4) and (2, 4)"
    )


def test_agreement_compares_the_most_probable_tokens_that_count():
    student, teacher, target = batches()
    mask = target != -100
    same = [bool(student[b, i].argmax() == teacher[b, i].argmax()) for b, i in mask.nonzero().tolist()]
    for given in ((student, teacher), (student.argmax(-1), teacher)):
        metric = TokenAgreement()
        metric.update(*given, mask)
        assert metric.compute() == sum(same) / len(same)
    assert TokenAgreement().compute(predictions=student, references=student) == 1
    assert math.isnan(TokenAgreement().compute())
    with pytest.raises(DataError) as failure:
        metric.update(student, teacher[:, 1:])
    assert str(failure.value) == "`preds` and `teacher` must have the same tokens, got (5, 6, 9) and (5, 5, 9)"


@pytest.mark.parametrize(
    ("written", "target", "right"),
    [
        ([7, 0, 5], [-100, 7, 0], True),
        ([7, 5, 0], [-100, 7, 0], False),
        ([7], [-100, 7, 0], False),
        ([7, 8, 9], [7, 8, 9], True),
        ([7, 8], [-100, -100, 7], True),
    ],
)
def test_tokens_after_the_completion_are_ignored(written, target, right):
    metric = ExactMatch()
    metric.update(torch.tensor([written, written]), torch.tensor([target, target]))
    assert metric.compute() == float(right)


def test_a_sample_without_a_completion_does_not_count():
    metric = ExactMatch()
    metric.update(torch.tensor([[1], [2]]), torch.tensor([[-100, -100], [2, -100]]))
    assert metric.compute() == 1.0
    metric.reset()
    assert math.isnan(metric.compute())
    with pytest.raises(DataError) as failure:
        metric.update(torch.zeros(2, 1), torch.zeros(3, 1))
    assert str(failure.value) == "`preds` and `target` must have the same number of samples, got (2, 1) and (3, 1)"
    with pytest.raises(DataError) as failure:
        metric.compute(predictions=["a"], references=["a", "b"])
    assert str(failure.value) == "expected as many references as predictions, got 2 and 1"


def test_two_processes_with_different_numbers_of_samples_equal_one(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(SCRIPT), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    student, teacher, target = torch.load(tmp_path / "batch.pt")
    perplexity, agreement, exact = Perplexity(), TokenAgreement(), ExactMatch()
    perplexity.update(student, target)
    agreement.update(student, teacher, target != -100)
    exact.update(teacher.argmax(-1), target)
    expected = [metric.compute() for metric in (perplexity, agreement, exact)]
    assert 0 < expected[2] < 1
    first = target[:, 0].double()
    hub = {"first": first[0].item() + 1, "samples": 7, "sum": ((first + 1) * first).sum().item()}
    for rank in range(2):
        *found, of_evaluate = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == pytest.approx(expected, rel=1e-9)
        assert of_evaluate == pytest.approx(hub)
