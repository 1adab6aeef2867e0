"""Every metric equals scikit-learn's or SciPy's, updated at once, in batches, or over two processes."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from distill_core.errors import DataError
from distill_nlp.metrics import F1, Accuracy, MatthewsCorrelation, PearsonSpearman, SimilarityCorrelation

CLASSIFICATION = {
    "accuracy": (lambda classes: Accuracy(), lambda true, preds: reference.accuracy_score(true, preds)),
    "f1_macro": (
        lambda classes: F1(classes, average="macro"),
        lambda true, preds: reference.f1_score(true, preds, average="macro", zero_division=0),
    ),
    "matthews": (MatthewsCorrelation, lambda true, preds: reference.matthews_corrcoef(true, preds)),
}


def fed(metric, preds: torch.Tensor, target: torch.Tensor, size: int):
    for part, truth in zip(preds.split(size), target.split(size), strict=True):
        metric.update(part, truth)
    return metric.compute()


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("classes", [2, 5])
def test_classification_equals_scikit_learn(name, classes):
    make, expected = CLASSIFICATION[name]
    scores, target = torch.randn(97, classes), torch.randint(classes, (97,))
    want = expected(target.numpy(), scores.argmax(1).numpy())
    assert fed(make(classes), scores, target, 10) == pytest.approx(want, abs=1e-12)
    assert fed(make(classes), scores.argmax(1), target, 97) == pytest.approx(want, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_binary_f1_and_matthews_equal_scikit_learn_in_all_corner_cases(pairs):
    preds, target = torch.tensor(pairs).unbind(1)
    want = reference.f1_score(target.numpy(), preds.numpy(), zero_division=0)
    assert fed(F1(), preds, target, 7) == pytest.approx(want, abs=1e-12)
    if len({*preds.tolist(), *target.tolist()}) > 1:
        want = reference.matthews_corrcoef(target.numpy(), preds.numpy())
        assert fed(MatthewsCorrelation(), preds, target, 7) == pytest.approx(want, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_correlations_equal_scipy_with_ties(pairs):
    preds, target = torch.tensor(pairs).double().unbind(1)
    found = fed(PearsonSpearman(), preds, target, 7)
    if len(preds.unique()) == 1 or len(target.unique()) == 1:
        assert all(math.isnan(value) for value in found.values())
        return
    assert found["pearson"] == pytest.approx(stats.pearsonr(preds, target)[0], abs=1e-9)
    assert found["spearman"] == pytest.approx(stats.spearmanr(preds, target)[0], abs=1e-9)


def test_a_constant_prediction_has_no_correlation():
    found = fed(PearsonSpearman(), torch.full((7,), 0.1), torch.arange(7.0), 2)
    assert math.isnan(found["pearson"])
    assert math.isnan(found["spearman"])


def test_correlations_of_a_model_with_one_output():
    preds, target = torch.randn(50, 1), torch.rand(50) * 5
    found = fed(PearsonSpearman(), preds, target, 8)
    assert found["pearson"] == pytest.approx(stats.pearsonr(preds[:, 0].double(), target.double())[0], abs=1e-9)
    assert found["spearman"] == pytest.approx(stats.spearmanr(preds[:, 0], target)[0], abs=1e-9)


@pytest.mark.parametrize("metric", [Accuracy(), F1(), MatthewsCorrelation(), PearsonSpearman()])
def test_reset_clears_the_metric(metric):
    first, second = torch.tensor([1, 0, 1, 1]), torch.tensor([1, 1, 0, 1])
    metric.update(first, second)
    metric.reset()
    metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1]))
    result = metric.compute()
    assert list(result.values() if isinstance(result, dict) else [result]) == pytest.approx(
        [1.0] * (1 + isinstance(result, dict))
    )


@pytest.mark.parametrize("metric", [Accuracy(), PearsonSpearman()])
def test_without_samples_the_result_is_nan(metric):
    result = metric.compute()
    assert all(math.isnan(value) for value in (result.values() if isinstance(result, dict) else [result]))


@pytest.mark.parametrize("metric", [Accuracy(), F1(), MatthewsCorrelation()])
def test_mismatched_shapes_are_refused(metric):
    with pytest.raises(DataError) as caught:
        metric.update(torch.zeros(3, 2), torch.zeros(4, dtype=torch.long))
    assert str(caught.value) == "`preds` and `target` must be (batch, classes) and (batch,), got (3, 2) and (4,)"


def test_mismatched_scores_are_refused():
    with pytest.raises(DataError) as caught:
        PearsonSpearman().update(torch.zeros(3, 2), torch.zeros(3))
    assert str(caught.value) == "`preds` and `target` must be (batch,), got (3, 2) and (3,)"


def test_metrics_add_nothing_to_a_checkpoint():
    assert [name for make in (Accuracy, F1, MatthewsCorrelation, PearsonSpearman) for name in make().state_dict()] == []


PROCESS = """
import sys, torch, torch.distributed as dist
from distill_nlp.metrics import Accuracy, F1, MatthewsCorrelation, PearsonSpearman
rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
scores, target = torch.randn(41, 3), torch.randint(3, (41,))
share = slice(0, 30) if rank == 0 else slice(30, 41)
for metric in Accuracy(), F1(3, "macro"), MatthewsCorrelation(3):
    metric.update(scores[share], target[share])
    print(repr(metric.compute()))
correlation = PearsonSpearman()
if rank == 0:
    correlation.update(scores[:, 0], scores[:, 1])  # the other process has no samples
print(repr(correlation.compute()))
dist.destroy_process_group()
"""


def test_two_processes_equal_one(tmp_path):
    commands = [[sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "store")] for rank in range(2)]
    running = [subprocess.Popen(each, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for each in commands]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    torch.manual_seed(0)
    scores, target = torch.randn(41, 3), torch.randint(3, (41,))
    alone = [fed(metric, scores, target, 41) for metric in (Accuracy(), F1(3, "macro"), MatthewsCorrelation(3))]
    alone.append(fed(PearsonSpearman(), scores[:, 0], scores[:, 1], 41))
    assert [out for out, _ in outputs] == ["".join(f"{value!r}\n" for value in alone)] * 2


def test_similarities_equal_scipys_correlation_of_cosines():
    hidden, target = torch.randn(20, 3, 4), torch.rand(10) * 5
    mask = torch.tensor([[1, 1, 0]] * 20)
    means = hidden[:, :2].mean(1).numpy()
    cosines = [float(a @ b / ((a @ a) * (b @ b)) ** 0.5) for a, b in zip(means[::2], means[1::2], strict=True)]
    metric = SimilarityCorrelation()
    for start in (0, 4):
        rows, pairs = (
            slice(2 * start, 2 * start + (8 if start == 0 else 12)),
            slice(start, start + (4 if start == 0 else 6)),
        )
        metric.update(hidden[rows], target[pairs], mask[rows])
    found = metric.compute()
    assert found["spearman"] == pytest.approx(stats.spearmanr(cosines, target.numpy()).statistic, abs=1e-6)
    assert found["pearson"] == pytest.approx(stats.pearsonr(cosines, target.numpy()).statistic, abs=1e-6)


def test_the_scores_of_each_class_equal_scikit_learn():
    scores, target = torch.randn(97, 4), torch.randint(3, (97,))  # class 3 has no samples
    metric = Accuracy().of_classes(["a", "b", "c", "d"])
    found = fed(metric, scores, target, 10)
    preds = scores.argmax(1).numpy()
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        target.numpy(), preds, labels=range(4), zero_division=0
    )
    for index, name in enumerate("abc"):
        assert found[f"accuracy.{name}"] == pytest.approx(recall[index])
        assert found[f"precision.{name}"] == pytest.approx(precision[index])
        assert found[f"f1.{name}"] == pytest.approx(f1[index])
    assert "accuracy.d" not in found
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(target.numpy(), preds))
    assert found["macro_f1"] == pytest.approx(f1.mean())
    with pytest.raises(DataError, match="must be different names"):
        Accuracy().of_classes(["a", "a"])
