"""What a program can be fed with: tensors of the batch, samples first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core.data import Loader
from distill_core.errors import DistillError
from distill_core.experiment import Evaluation, Experiment, Stage
from distill_core.export import batch_for


def feed(dataset, wiring, collate=None):
    test = Evaluation(loader=Loader(dataset, 2, collate=collate), metrics={})
    return Experiment(models={}, data={}, stages=[Stage(feed={"student": wiring} if wiring else None)], test=test)


def lists(samples):
    return {name: [sample[name] for sample in samples] for name in samples[0]}


def test_a_detectors_list_of_images_is_refused():
    data = [{"input": torch.zeros(3, 4 + number, 4), "target": number} for number in range(2)]
    with pytest.raises(DistillError, match="takes a list as `input`, but a program takes tensors") as error:
        batch_for(feed(data, None, lists), nn.Identity(), "student")
    assert "--format safetensors" in str(error.value)


def test_a_model_that_reads_another_one_is_refused():
    data = [(torch.zeros(3), 0), (torch.zeros(3), 1)]
    with pytest.raises(DistillError, match=r"'student' reads teacher\.body: only a model that is fed from the batch"):
        batch_for(feed(data, {"input": "teacher.body"}), nn.Identity(), "student")


def test_inputs_have_the_names_of_the_parameters():
    data = [(torch.zeros(3), 0), (torch.ones(3), 1)]
    assert batch_for(feed(data, None), nn.Identity(), "student")["input"].tolist() == [[0.0] * 3, [1.0] * 3]
