"""Frozen models whose classes are in another order than the data's teach the wrong class, and are refused."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

from distill_core.data import Loader
from distill_core.errors import WiringError
from distill_core.train import Evaluation, Experiment, Stage, Term, Trainer


def named(labels, attribute="id2label"):
    model = nn.Linear(4, len(labels))
    if attribute == "id2label":
        model.config = SimpleNamespace(id2label=dict(enumerate(labels)))
    else:
        model.class_names = tuple(labels)
    return model


def data(labels, attribute="labels"):
    dataset = TensorDataset(torch.randn(8, 4), torch.randint(0, 3, (8,)))
    setattr(dataset, attribute, labels)
    return dataset


def fit(model, dataset, *, tap="teacher", **options):
    models = {"student": nn.Linear(4, 3), "teacher": model}
    terms = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "mse": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": tap}),
    }
    stage = Stage(epochs=1, losses=terms, optimizer=partial(torch.optim.SGD, lr=0.1), **options)
    Trainer(Experiment(models=models, data={"train": Loader(dataset, 4)}, stages=[stage])).fit()


@pytest.mark.parametrize("of_model", ["id2label", "class_names"])
@pytest.mark.parametrize("of_data", ["labels", "classes"])
def test_a_frozen_model_with_another_order_is_refused(of_model, of_data):
    with pytest.raises(WiringError) as error:
        fit(named(["no", "maybe", "yes"], of_model), data(["yes", "maybe", "no"], of_data))
    assert str(error.value) == (
        "the classes of 'teacher' are in another order than those of data.train: 0 'no', 1 'maybe', 2 'yes' in the model,"
        " 0 'yes', 1 'maybe', 2 'no' in the data\n  hint: give the data `labels` in the model's order"
    )


@pytest.mark.parametrize(
    ("of_test", "refused"),
    [
        (["b", "c"], True),
        (["c", "b", "a"], True),
        (["a", "b"], False),
        (["a", "b", "c", "d"], False),
        (["x", "y"], False),
    ],
)
def test_an_evaluation_numbers_the_classes_as_the_training_does(of_test, refused):
    test = Evaluation(loader=Loader(data(of_test), 4), metrics={})
    experiment = Experiment(
        models={"student": nn.Linear(4, 3)}, data={"train": Loader(data(["a", "b", "c"]), 4)}, test=test
    )
    term = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=1, losses={"ce": term}, optimizer=partial(torch.optim.SGD, lr=0.1))
    message = "the classes of 'test' have other indices than those of the training data: 0 'a', 1"
    with pytest.raises(WiringError, match=message) if refused else nullcontext():
        Trainer(replace(experiment, stages=[stage])).fit()


def test_names_of_a_subset_are_those_of_its_dataset():
    with pytest.raises(WiringError, match="in another order"):
        fit(named(["no", "maybe", "yes"]), Subset(data(["yes", "maybe", "no"]), range(8)))


@pytest.mark.parametrize(
    ("of_model", "of_data", "told"),
    [
        (["NO", "not sure", "Yes"], ["no", "not_sure", "yes"], ""),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["no", "maybe", "yes"], ""),
        (["no", "maybe", "yes"], None, ""),
        (["no", "maybe", "yes"], {3: "no"}, ""),
        (["bad", "so so", "good"], ["no", "maybe", "yes"], "are other ones than those of data.train: 0 'bad', "),
    ],
)
def test_other_names_are_logged(caplog, of_model, of_data, told):
    with caplog.at_level(logging.WARNING, "distill"):
        fit(named(of_model), data(of_data))
    assert told in caplog.text
    assert bool(told) == ("the classes of" in caplog.text)


def test_a_model_that_learns_is_told_only(caplog):
    with caplog.at_level(logging.WARNING, "distill"):
        fit(named(["no", "maybe", "yes"]), data(["yes", "maybe", "no"]), train=["student", "teacher"])
    assert "the classes of 'teacher' are in another order" in caplog.text
