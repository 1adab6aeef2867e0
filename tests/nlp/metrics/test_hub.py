"""Metrics of the library `evaluate` against scikit-learn."""

from __future__ import annotations

import datasets
import evaluate
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error

from distill_core.errors import DataError
from distill_nlp.metrics import EvaluateMetric


class Scores(evaluate.Metric):
    """A metric as the scripts of `evaluate` are written."""

    def _info(self):
        features = {"predictions": datasets.Value(self.config_name), "references": datasets.Value(self.config_name)}
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=datasets.Features(features)
        )

    def _compute(self, predictions, references, average="macro"):
        if self.config_name.startswith("float"):
            return {"mse": mean_squared_error(references, predictions)}
        f1 = f1_score(references, predictions, average=average)
        return {"accuracy": accuracy_score(references, predictions), "f1": f1, "classes": [0, 1, 2]}


@pytest.fixture
def scores(tmp_path):
    return lambda kind: Scores(config_name=kind, cache_dir=str(tmp_path))


def test_classes_are_those_of_the_greatest_score(scores):
    torch.manual_seed(0)
    preds, target = torch.randn(11, 3), torch.randint(3, (11,))
    metric = EvaluateMetric(scores("int64"), average="micro")
    for _ in range(2):  # the second time after `reset`
        metric.update(preds[:7], target[:7])
        metric.update(preds[7:], target[7:])
        expected = f1_score(target, preds.argmax(1), average="micro")
        assert metric.compute() == pytest.approx({"accuracy": accuracy_score(target, preds.argmax(1)), "f1": expected})
        metric.reset()


def test_scores_are_handed_on(scores):
    preds, target = torch.randn(6), torch.randn(6)
    metric = EvaluateMetric(scores("float32"))
    for one in (preds, preds[:, None]):
        metric.reset()
        metric.update(one.bfloat16(), target)
        expected = mean_squared_error(target, preds.bfloat16().float())
        assert metric.compute() == pytest.approx({"mse": expected})


class Recorder:
    def compute(self, **arguments):
        self.arguments = arguments
        return self.returned


def test_scores_and_their_name():
    module = Recorder()
    module.returned = {"roc_auc": 1}
    metric = EvaluateMetric(module, scores=True, predictions_name="prediction_scores", multi_class="ovr")
    preds, target = torch.rand(4, 3), torch.arange(4) % 3
    metric.update(preds, target)
    assert metric.compute() == {"roc_auc": 1.0}
    assert module.arguments.keys() == {"prediction_scores", "references", "multi_class"}
    assert torch.equal(torch.as_tensor(module.arguments["prediction_scores"]), preds)


def test_wrong_samples_and_values_are_refused():
    module = Recorder()
    metric = EvaluateMetric(module)
    with pytest.raises(DataError, match="a metric of evaluate needs samples, got none"):
        metric.compute()
    with pytest.raises(DataError, match="one entry per sample, got \\(2, 3\\) and \\(3,\\)"):
        metric.update(torch.zeros(2, 3), torch.zeros(3))
    metric.update(torch.zeros(2), torch.zeros(2))
    module.returned = {"text": "a"}
    with pytest.raises(DataError, match=r"must return a number, got {'text': 'a'}"):
        metric.compute()
