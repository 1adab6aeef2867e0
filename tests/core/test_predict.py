"""Records of predictions, against plain torch, and the tap that is the prediction."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from distill_core.data import GivenInputs, Loader, PredictionOptions, dataset_for_inputs
from distill_core.errors import DataError, WiringError
from distill_core.experiment import Evaluation, Metric
from distill_core.predict import class_records, label_records, predict, prediction_tap, value_records

SCORES = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
NAMES = [f"class {index}" for index in range(7)]


def test_classes_are_the_most_probable_ones():
    records = class_records(SCORES, NAMES, top=3)
    for row, record in zip(SCORES.double(), records, strict=True):
        exps = [math.exp(value) for value in row.tolist()]
        ranked = sorted(range(7), key=lambda index: -exps[index])[:3]
        assert [each["class"] for each in record["top"]] == [NAMES[index] for index in ranked]
        expected = [exps[index] / sum(exps) for index in ranked]
        assert [each["probability"] for each in record["top"]] == pytest.approx(expected)
        assert (record["class"], record["probability"]) == tuple(record["top"][0].values())


def test_equal_scores_are_in_the_order_of_the_classes_and_probabilities_that_round_do_not_matter():
    (record,) = class_records(torch.tensor([[1.0, 5.0, 5.0]]), top=9)
    assert [each["class"] for each in record["top"]] == [1, 2, 0]
    (record,) = class_records(torch.tensor([[2000.0, 1000.0, 1001.0]]))  # both probabilities are 0
    assert [each["class"] for each in record["top"]] == [0, 2, 1]


def test_labels_are_those_above_the_threshold():
    records = label_records(SCORES, NAMES, threshold=0.6)
    expected = [[name for name, score in zip(NAMES, row, strict=True) if 1 / (1 + math.exp(-score)) >= 0.6]
                for row in SCORES.double().tolist()]  # fmt: skip
    assert [record["labels"] for record in records] == expected
    assert any(expected)


def test_values_are_the_outputs():
    assert value_records(torch.tensor([[0.5], [2.0]])) == [{"value": 0.5}, {"value": 2.0}]
    with pytest.raises(DataError, match="one number as target, but the model has 7 outputs"):
        value_records(SCORES)


def test_a_wrong_number_of_names_is_refused():
    with pytest.raises(DataError, match="the data have 2 classes, but the model has 7 outputs"):
        class_records(SCORES, ["a", "b"])


def evaluation(**inputs):
    return Evaluation(loader=None, metrics={"m": Metric(metric=None, inputs=inputs)})


@pytest.mark.parametrize(
    ("inputs", "tap"),
    [
        ({"preds": "student:out.logits", "target": "batch.target"}, "student:out.logits"),
        ({"preds": "teacher.head", "target": "batch.target"}, "student.head"),
        ({"preds": ["student", "teacher"]}, "student"),
        ({"preds": "batch.target"}, "student"),
        ({"loss": "student.body"}, "student"),
    ],
)
def test_the_prediction_is_what_a_metric_reads(inputs, tap):
    assert prediction_tap([evaluation(**inputs)], "student") == tap


def test_a_metric_of_the_model_itself_comes_first():
    tests = [evaluation(preds="teacher"), evaluation(preds="student:out.0")]
    assert prediction_tap(tests, "student") == "student:out.0"


class Structured(nn.Module):
    def forward(self, points):
        return {"logits": points @ torch.eye(3), "features": points}


def prepared(**kwargs):
    rows = torch.eye(3) * 4
    samples = [{"input": row} for row in rows]
    given = GivenInputs(inputs=["a", "b", "c"], dataset=samples, **kwargs)
    return given, Loader(samples, 2)


def test_outputs_with_logits_need_no_metric():
    given, loader = prepared()
    records = predict({"student": Structured()}, given, loader)
    assert [(record["input"], record["class"]) for record in records] == [("a", 0), ("b", 1), ("c", 2)]


def test_outputs_without_a_tensor_of_scores_are_refused():
    given, loader = prepared()
    tap = evaluation(preds="student:outs")
    with pytest.raises(DataError, match="the output of the model is a list without `logits`"):
        predict({"student": Structured()}, given, loader, evaluations=[tap])


def test_a_model_that_reads_the_target_is_refused():
    given, loader = prepared()
    with pytest.raises(WiringError, match="the batch has no field 'target'"):
        predict({"student": Structured()}, given, loader, feed={"student": {"points": "batch.target"}})


def test_a_description_of_the_data_replaces_that_of_classes():
    def describe(outputs, batch, options):
        return [{"row": row.argmax().item() + options.top, "index": index.item()}
                for row, index in zip(outputs["logits"], batch["index"], strict=True)]  # fmt: skip

    given, loader = prepared(describe=describe)
    records = predict({"student": Structured()}, given, loader, options=PredictionOptions(top=10))
    assert records[2] == {"input": "c", "row": 12, "index": 2}


def test_the_dataset_below_a_subset_accepts_inputs():
    class Accepting(list):
        def given_inputs(self, paths, texts): ...

    whole = Accepting([1, 2, 3])
    assert dataset_for_inputs(Loader(torch.utils.data.Subset(whole, [0, 1]), 1)) is whole
    assert dataset_for_inputs(Loader([1, 2, 3], 1)) is None
