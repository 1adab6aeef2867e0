"""A frozen model is after a run what it was before, in whatever mode it ran."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from distill_core.cache import hash_tensors
from distill_core.errors import TrainingError, WiringError
from distill_core.train import Callback, Trainer


def digest(model):
    return hash_tensors({**dict(model.named_parameters()), **dict(model.named_buffers())}.items())


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_weights_and_buffers_hash_as_before(experiment, mode):
    made = experiment()
    made = replace(made, stages=[replace(made.stages[0], modes={"teacher": mode})])
    teacher = made.models["teacher"]
    before, seen = digest(teacher), []

    class Look(Callback):
        def on_step_end(self, trainer):
            seen.append((teacher.training, digest(teacher) == before))

    Trainer(made, callbacks=[Look()]).fit()
    assert digest(teacher) == before
    assert set(seen) == {(mode == "train", mode == "eval")}  # in train mode the statistics move meanwhile


def test_the_mode_of_a_student_may_be_chosen_too(experiment):
    made = experiment()
    made = replace(made, stages=[replace(made.stages[0], modes={"student": "eval"})])
    buffers = {name: value.clone() for name, value in made.models["student"].named_buffers()}
    Trainer(made).fit()
    assert all(torch.equal(value, buffers[name]) for name, value in made.models["student"].named_buffers())


@pytest.mark.parametrize("name", ["0.weight", "1.running_mean", "1.num_batches_tracked"])
def test_a_frozen_model_that_changed_ends_the_run(experiment, name):
    made = experiment()

    class Meddle(Callback):
        def on_epoch_end(self, trainer):
            tensor = made.models["teacher"].state_dict()[name]
            tensor.view(-1)[0] += 1

    with pytest.raises(TrainingError) as failure:
        Trainer(made, callbacks=[Meddle()]).fit()
    assert str(failure.value) == f"'teacher' is frozen, and yet these tensors have changed: {name}"


def test_a_mode_for_no_model_is_refused(experiment):
    made = experiment()
    made = replace(made, stages=[replace(made.stages[0], modes={"techer": "train"})])
    with pytest.raises(WiringError) as failure:
        Trainer(made).fit()
    assert str(failure.value) == "stages.0.modes: there is no model 'techer'\n  hint: did you mean 'teacher'?"
