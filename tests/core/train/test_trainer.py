"""What the trainer computes and writes: a plain loop, accumulation, stages, groups, precision."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.data import Loader, SeedPath
from distill_core.train import Callback, Distiller, Stage, Term, Trainer

from .state_dicts import copy_of, same


def test_student_learns_and_teacher_does_not(experiment, tmp_path):
    run = experiment()
    teacher, student = copy_of(run.models["teacher"]), copy_of(run.models["student"])
    Trainer(run, output=tmp_path).fit()
    assert same(teacher, copy_of(run.models["teacher"]))
    assert not same(student, copy_of(run.models["student"]))
    assert not run.models["teacher"].training


def test_equals_a_plain_loop(experiment):
    """The trainer's arithmetic is that of the loop anyone would write."""
    run = experiment()
    by_hand = experiment()
    Trainer(run).fit()

    teacher, student = by_hand.models["teacher"].eval(), by_hand.models["student"]
    stage = by_hand.stages[0]
    divergence = stage.losses["kd"].loss
    optimizer = torch.optim.SGD([*student.parameters(), *divergence.parameters()], lr=0.1, momentum=0.9)
    from distill_core.data import derive_seed

    for epoch in range(2):
        student.train()
        for number, batch in enumerate(by_hand.data["train"].batches(SeedPath(0, 0, epoch))):
            torch.manual_seed(derive_seed(0, 0, epoch + 1, number, 0))
            with torch.no_grad():
                target = teacher(batch["input"])
            output = student(batch["input"])
            loss = nn.functional.cross_entropy(output, batch["target"]) + 0.5 * divergence(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.5
    for name, tensor in student.state_dict().items():
        torch.testing.assert_close(run.models["student"].state_dict()[name], tensor)
    torch.testing.assert_close(run.stages[0].losses["kd"].loss.scale, divergence.scale)


def test_writes_what_it_promises(experiment, tmp_path):
    results = Trainer(experiment(), output=tmp_path).fit()
    assert json.loads((tmp_path / "results.json").read_text()) == results
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    assert [line["step"] for line in train] == [2, 4, 6, 7, 9, 11, 13, 14] or [line["step"] for line in train] == [
        2, 4, 6, 7, 8, 10, 12, 14,
    ]  # fmt: skip
    assert set(train[0]) == {"stage", "epoch", "step", "split", "loss", "losses", "lr", "samples_per_second"}
    assert train[0]["loss"] == pytest.approx(train[0]["losses"]["ce"] + 0.5 * train[0]["losses"]["kd"])
    assert [(line["epoch"], line["step"]) for line in lines if line["split"] == "val"] == [(1, 7), (2, 14)]
    assert train[0]["lr"] == 0.1
    assert train[-1]["lr"] == 0.05
    assert (tmp_path / "student.safetensors").is_file()
    assert not (tmp_path / "teacher.safetensors").exists()
    assert results["last"]["epoch"] == 2
    assert results["selection"] == {"metric": "top1", "mode": "max", "split": "val"}
    assert results["best"]["val"]["top1"] == max(line["metrics"]["top1"] for line in lines if line["split"] == "val")


@pytest.mark.parametrize("count", [48, 50])
def test_accumulated_batches_equal_one_large_batch(experiment, count):
    """Each sample counts the same, also in a last window that is not full."""

    def stage(accumulate):
        def mean_square(student, target):
            return (student - torch.nn.functional.one_hot(target, 3)).square().mean()

        inputs = {"student": "student.0", "target": "batch.target"}
        return Stage(
            epochs=1,
            losses={"square": Term(loss=mean_square, inputs=inputs, averages_over="samples")},
            optimizer=partial(torch.optim.SGD, lr=0.1),
            accumulate=accumulate,
            train=["student.0"],
        )

    models = [{"student": nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 3))} for _ in range(2)]
    models[1]["student"].load_state_dict(models[0]["student"].state_dict())
    Trainer(experiment(stages=[stage(4)], models=models[0], count=count, batch_size=4, callbacks=())).fit()
    Trainer(experiment(stages=[stage(1)], models=models[1], count=count, batch_size=16, callbacks=())).fit()
    torch.testing.assert_close(models[0]["student"][0].weight, models[1]["student"][0].weight)


def test_stage_takes_what_it_leaves_out_from_the_one_before(experiment):
    run = experiment()
    second = Stage(epochs=1, train=["student.4"], scheduler=None)
    seen = []

    class Watch(Callback):
        def on_stage_start(self, trainer):
            seen.append((trainer.state.stage, trainer.run.scheduler is None, sorted(trainer.run.trainable)))
            self.first_layer = trainer.models["student"][0].weight.detach().clone()

    watch = Watch()
    run = experiment(stages=[run.stages[0], second], callbacks=[watch])
    Trainer(run).fit()
    assert seen[0][:2] == (0, False)
    assert seen[1] == (1, True, ["student.4.bias", "student.4.weight"])
    assert torch.equal(watch.first_layer, run.models["student"][0].weight)
    assert run.models["student"][0].weight.requires_grad


def test_frozen_parts_of_a_student_stay_in_eval_mode(experiment):
    run = experiment()
    stage = Stage(epochs=1, train=["student.4"])
    before = run.models["student"][1].running_mean.clone()
    Trainer(experiment(stages=[stage.after(run.stages[0])], models=run.models, callbacks=())).fit()
    assert torch.equal(before, run.models["student"][1].running_mean)


def test_parameter_groups_have_their_own_options(experiment):
    groups = {"student.4": {"lr": 0.01}, "losses": {"lr": 0.0}}
    run = experiment()
    stage = Stage(groups=groups).after(run.stages[0])
    run = experiment(stages=[stage], callbacks=())
    trainer = Trainer(run)
    seen = {}

    class Watch(Callback):
        def on_stage_start(self, trainer):
            seen["groups"] = [(group["lr"], len(group["params"])) for group in trainer.run.optimizer.param_groups]

    trainer.callbacks.append(Watch())
    trainer.fit()
    assert seen["groups"] == [(0.1, 4), (0.01, 2), (0.0, 1)]
    assert run.stages[0].losses["kd"].loss.scale.item() == 1.0


def test_schedule_of_a_weight(experiment):
    moments = []

    def ramp(progress):
        moments.append(progress.progress)
        return progress.progress

    term = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}, weight=ramp)
    Trainer(experiment(stages=[Stage(losses={"ce": term}, epochs=2).after(experiment().stages[0])], callbacks=())).fit()
    assert moments == pytest.approx([step / 14 for step in range(14)])


def test_no_teacher_at_all(experiment):
    ce = {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "model", "target": "batch.target"})}
    model = nn.Linear(6, 3)
    before = model.weight.detach().clone()
    Trainer(
        experiment(models={"model": model}, stages=[Stage(losses=ce).after(experiment().stages[0])], callbacks=())
    ).fit()
    assert not torch.equal(before, model.weight)


def test_lazy_loss_takes_its_shape_before_the_optimizer_is_made(experiment):
    class Regress(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.LazyLinear(32)

        def forward(self, student, teacher):
            return nn.functional.mse_loss(self.map(student), teacher)

    loss = Regress()
    terms = {"hint": Term(loss=loss, inputs={"student": "student.2", "teacher": "teacher.2"})}
    run = experiment(
        stages=[Stage(losses=terms, train=["student.0", "student.1", "losses"]).after(experiment().stages[0])],
        callbacks=(),
    )
    statistics = run.models["student"][1].num_batches_tracked.clone()
    Trainer(run).fit()
    assert loss.map.weight.shape == (32, 4)
    assert run.models["student"][1].num_batches_tracked == statistics + 14


class NoisySamples(torch.utils.data.Dataset):
    """Reads and augments a sample at a time."""

    def __len__(self):
        return 30

    def __getitem__(self, index):
        return torch.full((6,), float(index)) + torch.randn(6), index % 3


def test_workers_change_nothing(experiment):
    weights = []
    for workers in (0, 2):
        run = experiment(data={"train": Loader(NoisySamples(), 8, shuffle=True, num_workers=workers)}, callbacks=())
        Trainer(run).fit()
        weights.append(copy_of(run.models["student"]))
    assert same(*weights)


def test_bf16_trains(experiment):
    run = experiment(precision="bf16")
    results = Trainer(run).fit()
    assert results["last"]["val"]["top1"] > 0
    assert run.models["student"][0].weight.dtype == torch.float32


def test_distiller_alone():
    student, teacher = nn.Linear(4, 3), nn.Linear(4, 3)
    terms = {"mse": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "teacher"})}
    distiller = Distiller({"teacher": teacher, "student": student}, terms)
    batch = {"input": torch.randn(5, 4)}
    (total,), parts = distiller(batch, {"mse": 2.0})
    torch.testing.assert_close(total, 2 * nn.functional.mse_loss(student(batch["input"]), teacher(batch["input"])))
    total.backward()
    assert student.weight.grad is not None
    assert teacher.weight.grad is None
    assert set(distiller.state_dict()) == {"trained.student.weight", "trained.student.bias"}
    assert not parts["mse"].requires_grad
