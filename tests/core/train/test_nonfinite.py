from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Stage, Term, Trainer

BAD = 13


def poisoned(experiment, optimizer, **options):
    """Sample 13 gives an infinite gradient: the square root at zero, while its loss is a finite number."""
    inputs = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    poison = torch.ones(50)
    poison[BAD] = 0.0
    data = TensorData({"input": inputs, "poison": poison})

    def root(student, poison):
        return (student.square().mean(1) * poison).sqrt().mean()

    losses = {"root": Term(loss=root, inputs={"student": "student", "poison": "batch.poison"})}
    stage = Stage(epochs=2, losses=losses, optimizer=optimizer)
    model = nn.Linear(6, 3)
    options = {"callbacks": (), "log_every": 3} | options
    return experiment(
        models={"student": model}, data={"train": Loader(data, 5, shuffle=True)}, stages=[stage], **options
    )


FUSED = partial(torch.optim.AdamW, lr=0.01, fused=True)
PLAIN = partial(torch.optim.SGD, lr=0.01)


@pytest.mark.parametrize("optimizer", [FUSED, PLAIN, partial(torch.optim.RMSprop, lr=0.01)])
def test_stop_withholds_the_update_and_names_the_batch(experiment, optimizer):
    run = poisoned(experiment, optimizer)
    with pytest.raises(TrainingError) as error:
        Trainer(run).fit()
    first, losses, samples, hint = str(error.value).split("\n")
    number = int(first.split("batch ")[1].split(":")[0])
    assert (
        first == f"stage 0, epoch 1, batch {number}: the gradients or buffers are not finite; the update was withheld"
    )
    assert "root 0." in losses
    assert str(BAD) in samples.removeprefix("  samples of process 0: ").split(", ")
    assert hint == "  hint: a lower learning rate, clip_grad_norm, or `nonfinite: skip`"
    assert all(parameter.isfinite().all() for parameter in run.models["student"].parameters())


def test_stop_leaves_the_weights_as_they_were_before_the_batch(experiment):
    weights = []
    for policy in ("stop", "skip"):
        torch.manual_seed(0)
        run = poisoned(experiment, FUSED, nonfinite=policy, log_every=1)
        seen = []

        class Watch(Callback):
            def __init__(self, seen):
                self.seen = seen

            def on_step_end(self, trainer):
                self.seen.append(trainer.models["student"].weight.detach().clone())

        trainer = Trainer(run, callbacks=[Watch(seen)])
        if policy == "stop":
            with pytest.raises(TrainingError):
                trainer.fit()
            weights.append(run.models["student"].weight.detach().clone())
            steps = len(seen)
        else:
            trainer.fit()
            assert len(seen) == 20
            assert torch.equal(seen[steps], weights[0])
            assert not torch.equal(seen[steps + 1], weights[0])


def test_skip_goes_on_and_is_bounded(experiment, caplog):
    run = poisoned(experiment, FUSED, nonfinite="skip")
    Trainer(run).fit()
    assert len(caplog.messages) == 2
    assert run.models["student"].weight.isfinite().all()
    with pytest.raises(TrainingError, match=r"\n  hint: 1 batches were skipped before this one, which is the limit"):
        Trainer(poisoned(experiment, FUSED, nonfinite="skip", max_nonfinite=1)).fit()


def test_rollback_takes_up_the_last_checkpoint_and_leaves_the_batch_out(experiment, tmp_path, caplog):
    run = poisoned(experiment, FUSED, nonfinite="rollback", callbacks=[Checkpoint(every_steps=2)], log_every=1)
    trainer = Trainer(run, output=tmp_path)
    trainer.fit()
    bad = trainer.nonfinite.state()
    assert [(stage, epoch) for stage, epoch, _ in bad] == [(0, 1), (0, 2)]
    assert [message.split(":")[0] for message in caplog.messages] == [
        f"stage 0, epoch {e}, batch {n}" for _, e, n in bad
    ]
    assert run.models["student"].weight.isfinite().all()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    left_out = [(epoch - 1) * 10 + batch + 1 for _, epoch, batch in bad]
    assert [line["step"] for line in lines] == [step for step in range(1, 21) if step not in left_out]


def test_rollback_has_a_checkpoint_before_the_first_step(experiment, tmp_path, caplog):
    run = poisoned(experiment, FUSED, nonfinite="rollback", log_every=1)
    Trainer(run, output=tmp_path).fit()
    assert len(caplog.messages) == 2
    assert run.models["student"].weight.isfinite().all()


def test_rollback_without_a_folder_is_refused(experiment):
    with pytest.raises(TrainingError, match=r"^`nonfinite: rollback` needs checkpoints, .* has no folder\n  hint: "):
        Trainer(poisoned(experiment, FUSED, nonfinite="rollback")).fit()


def test_loss_that_is_not_finite_without_gradient_always_stops(experiment):
    def infinite(student):
        return student.sum() * 0 + torch.tensor(float("inf"))

    losses = {"bad": Term(loss=infinite, inputs={"student": "student"})}
    stage = Stage(epochs=1, losses=losses, optimizer=PLAIN)
    with pytest.raises(TrainingError, match=r"^stage 0, epoch 1, batch 0: the loss is not finite\n  losses: bad inf\n"):
        Trainer(experiment(models={"student": nn.Linear(6, 3)}, stages=[stage], callbacks=(), nonfinite="skip")).fit()
