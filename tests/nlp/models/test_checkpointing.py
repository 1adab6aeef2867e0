"""Gradient checkpointing changes the memory of a step, not the step."""

from __future__ import annotations

import pytest
import torch

from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_nlp.models import from_pretrained, with_gradient_checkpointing

FEED = {"input_ids": "batch.input_ids"}


def trained(student, teacher):
    """Return the weights of a student that learnt from the logits and from a layer inside of the teacher."""
    tokens = torch.randint(64, (8, 6), generator=torch.Generator().manual_seed(0))
    mse = torch.nn.MSELoss()
    losses = {
        "logits": Term(loss=mse, inputs={"input": "student:out.logits", "target": "teacher:out.logits"}),
        "layer": Term(loss=mse, inputs={"input": "student.model.layers.0", "target": "teacher.model.layers.1"}),
    }
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.01)  # noqa: E731
    stage = Stage(epochs=1, losses=losses, optimizer=optimizer, feed={"student": FEED, "teacher": FEED})
    data = {"train": Loader(TensorData({"input_ids": tokens}), 4)}
    Trainer(Experiment(models={"teacher": teacher, "student": student}, data=data, stages=[stage])).fit()
    return student.state_dict()


def test_the_step_stays_the_same_and_layers_run_again(family, decoder, decoder_folder):
    folder = decoder_folder(family)
    load = lambda **options: from_pretrained("AutoModelForCausalLM", folder, **options)  # noqa: E731
    teacher = decoder(family, initializer_range=0.2)
    runs = []
    student = load(gradient_checkpointing=True)
    student.model.layers[1].mlp.register_forward_pre_hook(lambda *_: runs.append(1))
    found, expected = trained(student, teacher), trained(load(), teacher)
    assert len(runs) == 4  # twice for each of two batches
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_it_holds_for_a_student_of_some_layers(decoder_folder):
    options = {"layers": [0], "gradient_checkpointing": True}
    model = from_pretrained("AutoModelForCausalLM", decoder_folder("llama"), **options)
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def test_a_model_without_it_is_refused():
    with pytest.raises(DistillError, match="Linear does not support gradient checkpointing"):
        with_gradient_checkpointing(torch.nn.Linear(2, 2))
