"""Saved models are loaded by transformers."""

from __future__ import annotations

import pytest
import torch

from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_nlp.models import SavePretrained, from_pretrained, tiny_bert

FEED = {"student": {"input_ids": "batch.input_ids"}}
INPUTS = {"input": "student:out.logits", "target": "batch.target"}


def run(callback, output, **models):
    data = TensorData({"input_ids": torch.randint(20, (4, 6)), "target": torch.randint(2, (4,))})
    term = Term(loss=torch.nn.CrossEntropyLoss(), inputs=INPUTS)
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.1)  # noqa: E731
    stage = Stage(epochs=1, losses={"ce": term}, optimizer=optimizer, feed=FEED)
    experiment = Experiment(models=models, data={"train": Loader(data, 2)}, stages=[stage], callbacks=[callback])
    Trainer(experiment, output=output).fit()


def test_the_trained_model_and_its_tokenizer_are_loaded(tmp_path, tokenizer):
    student = tiny_bert(vocab_size=200, layers=1, width=8)
    before = student.classifier.weight.clone()
    run(SavePretrained(tokenizer), tmp_path, student=student)
    again = from_pretrained("AutoModelForSequenceClassification", tmp_path / "student")
    trained = student.state_dict()
    assert not torch.equal(before, trained["classifier.weight"])
    assert all(torch.equal(trained[name], tensor) for name, tensor in again.state_dict().items())
    from transformers import AutoTokenizer

    text = "the plot is a mess"
    assert AutoTokenizer.from_pretrained(tmp_path / "student")(text).input_ids == tokenizer(text).input_ids


@pytest.mark.parametrize(
    ("options", "output", "message"),
    [
        ({"model": "studnet"}, True, "SavePretrained: there is no model 'studnet'\n  hint: did you mean 'student'?"),
        (
            {"model": "other"},
            True,
            "SavePretrained: 'other' is a Linear, which has no save_pretrained\n"
            "  hint: use a model of transformers or PEFT",
        ),
        (
            {},
            False,
            "SavePretrained: no output folder is set\n  hint: set `folder`, or run with an output folder",
        ),
    ],
)
def test_a_missing_model_or_folder_is_refused_before_training(tmp_path, options, output, message):
    models = {"student": tiny_bert(vocab_size=20, layers=1, width=8), "other": torch.nn.Linear(1, 1)}
    with pytest.raises(DistillError) as caught:
        run(SavePretrained(**options), tmp_path if output else None, **models)
    assert str(caught.value) == message
