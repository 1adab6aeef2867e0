from __future__ import annotations

import pytest
import torch
from scipy import stats
from sklearn import metrics as reference

from distill_core.errors import DataError
from distill_nlp.data import glue_task
from distill_nlp.metrics import GlueMetric

EXPECTED = {
    "cola": {"matthews"},
    "sst2": {"accuracy"},
    "mrpc": {"accuracy", "f1"},
    "stsb": {"pearson", "spearman"},
    "qqp": {"accuracy", "f1"},
    "mnli": {"accuracy"},
    "qnli": {"accuracy"},
    "rte": {"accuracy"},
    "wnli": {"accuracy"},
    "ax": {"matthews"},
}


@pytest.mark.parametrize("task", EXPECTED)
def test_each_task_has_the_metrics_of_glue(task):
    classes = glue_task(task).num_labels
    preds = torch.randn(60, classes)
    target = torch.rand(60) * 5 if task == "stsb" else torch.randint(classes, (60,))
    metric = GlueMetric(task)
    for part, truth in zip(preds.split(16), target.split(16), strict=True):
        metric.update(part, truth)
    found = metric.compute()
    assert found.keys() == EXPECTED[task]
    said = (preds.reshape(-1) if task == "stsb" else preds.argmax(1)).numpy()
    target = target.numpy()  # older releases of scikit-learn do not know torch's devices
    references = {
        "accuracy": lambda: reference.accuracy_score(target, said),
        "f1": lambda: reference.f1_score(target, said),
        "matthews": lambda: reference.matthews_corrcoef(target, said),
        "pearson": lambda: stats.pearsonr(said, target).statistic,
        "spearman": lambda: stats.spearmanr(said, target).statistic,
    }
    assert found == pytest.approx({name: references[name]() for name in found}, abs=1e-6)
    metric.reset()
    metric.update(preds[:3], torch.from_numpy(target[:3]))
    assert metric.compute() != found


def test_the_interface_of_evaluate():
    metric = GlueMetric("mrpc")
    said, true = [1, 1, 0, 0, 1], [1, 0, 0, 1, 1]
    at_once = metric.compute(predictions=said, references=true)
    metric.add_batch(predictions=said[:2], references=true[:2])
    metric.add_batch(predictions=torch.tensor(said[2:]), references=torch.tensor(true[2:]))
    assert metric.compute() == at_once == {"accuracy": 0.6, "f1": pytest.approx(2 / 3)}
    scores = GlueMetric("stsb").compute(predictions=[1, 2.5, 3], references=[1.0, 2, 4])
    assert scores["spearman"] == pytest.approx(1)


def test_an_unknown_task_is_refused():
    with pytest.raises(DataError) as caught:
        GlueMetric("mnl")
    assert str(caught.value) == "there is no GLUE task 'mnl'\n  hint: did you mean 'mnli'?"
