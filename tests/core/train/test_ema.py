from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import TensorDataset

from distill_core.data import Loader
from distill_core.errors import TrainingError, WiringError
from distill_core.train import Callback, Checkpoint, Evaluate, Experiment, Metric, Stage, Term, Trainer
from distill_core.train.step._ema import EMA


def test_average_is_the_running_mean_and_can_be_measured_and_taught_from(experiment, tmp_path):
    base = experiment().stages[0]
    losses = dict(base.losses) | {
        "mean_teacher": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "student_ema"})
    }
    expected = {}

    class ByHand(Callback):
        def on_stage_start(self, trainer):
            expected["model"] = copy.deepcopy(trainer.models["student"])

        def on_step_end(self, trainer):
            for mean, now in zip(expected["model"].parameters(), trainer.models["student"].parameters(), strict=True):
                mean.data = 0.9 * mean.data + 0.1 * now.data

    run = experiment(stages=[Stage(losses=losses).after(base)], ema={"student": 0.9})
    metric = run.callbacks[0].evaluation.metrics["top1"].metric
    measured = Evaluate(
        run.data["val"],
        {"ema": Metric(metric=metric, inputs={"preds": "student_ema", "target": "batch.target"})},
        split="ema",
    )
    trainer = Trainer(run, output=tmp_path, callbacks=[ByHand(), measured])
    results = trainer.fit()
    assert "ema" in results["last"]["ema"]
    average = trainer.models["student_ema"]
    assert not average.training
    last = trainer.store.read("latest")["models"]["student_ema"]
    for name, mean in expected["model"].named_parameters():
        torch.testing.assert_close(mean, last[name])
    assert set(load_file(tmp_path / "student_ema.safetensors")) == set(last)


@pytest.mark.parametrize(
    ("ema", "sentence"),
    [
        ({"studnet": 0.9}, "ema: there is no model 'studnet'\n  hint: did you mean 'student'?"),
    ],
)
def test_mistakes(experiment, ema, sentence):
    with pytest.raises(WiringError) as error:
        Trainer(experiment(ema=ema))
    assert str(error.value) == sentence


def test_averages_do_not_learn(experiment):
    stage = Stage(optimizer=partial(torch.optim.SGD, lr=0.0)).after(experiment().stages[0])
    run = experiment(stages=[stage], ema={"student": 0.5}, callbacks=())
    trainer = Trainer(run)
    before = run.models["student"][0].weight.detach().clone()
    trainer.fit()
    assert torch.equal(trainer.models["student_ema"][0].weight, before)


def in_half(dtype, seed=0):
    """A model with half-precision parameters and buffers of integers, floats and half floats."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).to(dtype)
    model.register_buffer("exact", torch.zeros(2, dtype=torch.float64))
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_average_of_a_half_precision_model_is_kept_in_float32(dtype):
    models = {"student": in_half(dtype)}
    averages = EMA(models, {"student": 0.9999})
    expected = [parameter.detach().double() for parameter in models["student"].parameters()]
    for step in range(300):
        with torch.no_grad():
            for parameter in models["student"].parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02 + 0.01)
            models["student"][1].num_batches_tracked += 1
            models["student"].exact += step
        averages.update()
        expected = [
            0.9999 * mean + 0.0001 * now for mean, now in zip(expected, models["student"].parameters(), strict=True)
        ]
    average = models["student_ema"]
    for mean, now in zip(expected, average.parameters(), strict=True):
        assert now.dtype == dtype
        torch.testing.assert_close(now, mean.detach().to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-5)
    for (name, ours), theirs in zip(average.named_buffers(), models["student"].buffers(), strict=True):
        assert ours.dtype == theirs.dtype, name
        assert torch.equal(ours, theirs), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_state_of_an_average_goes_on_exactly(dtype):
    def go_on(models, averages, steps, seed):
        torch.manual_seed(seed)
        for _ in range(steps):
            with torch.no_grad():
                for parameter in models["student"].parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
            averages.update()

    uninterrupted = {"student": in_half(dtype)}
    averages = EMA(uninterrupted, {"student": 0.999})
    go_on(uninterrupted, averages, 5, seed=1)
    saved = copy.deepcopy(({name: model.state_dict() for name, model in uninterrupted.items()}, averages.state()))
    go_on(uninterrupted, averages, 50, seed=2)
    resumed = {"student": in_half(dtype, seed=9)}
    again = EMA(resumed, {"student": 0.999})
    for name, weights in saved[0].items():
        resumed[name].load_state_dict(weights)
    again.load_state(saved[1])
    go_on(resumed, again, 50, seed=2)
    for name, tensor in uninterrupted["student_ema"].state_dict().items():
        assert torch.equal(tensor, resumed["student_ema"].state_dict()[name]), name
    assert saved[1] == {"student_ema": {}} or dtype != torch.float32


def half_run(**options):
    model = in_half(torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 4, generator=generator).to(torch.bfloat16)
    data = Loader(TensorDataset(inputs, torch.randint(0, 3, (32,), generator=generator)), 4)
    term = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(epochs=3, losses={"ce": term}, optimizer=partial(torch.optim.SGD, lr=0.05))
    return Experiment(models={"student": model}, data={"train": data}, stages=[stage], ema={"student": 0.99}, **options)


def test_a_resumed_half_precision_run_has_the_average_of_an_uninterrupted_one(tmp_path):
    class Interrupt(Callback):
        def on_step_end(self, trainer):
            if trainer.state.step == 13:
                raise KeyboardInterrupt

    Trainer(half_run(callbacks=[Checkpoint(every_steps=5)]), output=tmp_path / "uninterrupted").fit()
    run = half_run(callbacks=[Checkpoint(every_steps=5)])
    with pytest.raises(KeyboardInterrupt):
        Trainer(run, output=tmp_path / "interrupted", callbacks=[Interrupt()]).fit()
    resumed = Trainer(half_run(callbacks=[Checkpoint(every_steps=5)]), output=tmp_path / "interrupted")
    resumed.fit(resume=True)
    files = [load_file(tmp_path / folder / "student_ema.safetensors") for folder in ("uninterrupted", "interrupted")]
    for name, tensor in files[0].items():
        assert torch.equal(tensor, files[1][name]), name
    assert files[0]["0.weight"].dtype == torch.bfloat16


def test_state_of_another_model_is_refused():
    averages = EMA({"student": nn.Linear(2, 2).bfloat16()}, {"student": 0.9})
    with pytest.raises(TrainingError) as error:
        averages.load_state({})
    assert str(error.value) == (
        "the checkpoint holds float32 averages of 0 parameters of 'student_ema', which has 2 in half precision"
    )
