"""One sample that is not a number never reaches a model, a buffer, a checkpoint or a result."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Stage, Term, Trainer
from distill_core.train.checkpoints._store import CheckpointStore

BAD, SAMPLES, BATCH = 13, 30, 5
FUSED = partial(torch.optim.SGD, lr=0.05, fused=True)
PLAIN = partial(torch.optim.RMSprop, lr=0.01)


def data(value=float("nan")):
    inputs = torch.randn(SAMPLES, 6, generator=torch.Generator().manual_seed(0))
    targets = inputs[:, :3].argmax(1)
    inputs[BAD, 2] = value
    return TensorData({"input": inputs, "target": targets})


class Bank(nn.Module):
    """Cross-entropy with three kinds of state: an EMA in place, a buffer assigned anew, a queue with its pointer."""

    reduction_scope = "sample"

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("center", torch.zeros(3))
        self.register_buffer("queue", torch.zeros(8, 3))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("growing", torch.zeros(0, 3), persistent=False)  # torch loads no other shape

    def forward(self, student, target):
        logits = student.detach()
        self.mean.lerp_(logits.mean(0), 0.1)
        self.center = self.center * 0.9 + logits.mean(0) * 0.1
        self.queue[int(self.pointer) % 8] = logits[0]
        self.pointer += 1
        self.growing = torch.cat([self.growing, logits[:1]])
        return nn.functional.cross_entropy(student, target)


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))


def made(experiment, optimizer=FUSED, *, value=float("nan"), every_steps=None, accumulate=1, **options):
    loss = Term(loss=Bank(), inputs={"student": "student", "target": "batch.target"})
    stage = Stage(epochs=2, losses={"ce": loss}, optimizer=optimizer, accumulate=accumulate)
    return experiment(
        models={"student": network()},
        data={"train": Loader(data(value), BATCH)},
        stages=[stage],
        callbacks=[Checkpoint(every_steps=every_steps)],
        ema={"student": 0.9},
        **{"log_every": 100} | options,
    )


@pytest.fixture
def saved(monkeypatch):
    """Every state that is written."""
    states = []
    write = CheckpointStore.write

    def watched(store, name, state, **options):
        states.append(copy.deepcopy({key: state[key] for key in ("models", "losses", "optimizer")}))
        write(store, name, state, **options)

    monkeypatch.setattr(CheckpointStore, "write", watched)
    return states


def tensors(nest):
    if isinstance(nest, torch.Tensor):
        yield nest
    elif isinstance(nest, dict | list | tuple):
        for part in nest.values() if isinstance(nest, dict) else nest:
            yield from tensors(part)


def assert_finite(nest):
    found = list(tensors(nest))
    assert found
    assert all(tensor.isfinite().all() for tensor in found)


def plain_loop(optimizer, accumulate):
    """What a user would write: a step with a gradient that is not a number leaves everything as it was."""
    model, loss = network().train(), Bank()
    stepper = optimizer(model.parameters())
    inputs, targets = (data().tensors[name] for name in ("input", "target"))
    for _ in range(2):
        for begin in range(0, SAMPLES, BATCH * accumulate):
            before = copy.deepcopy((model.state_dict(), dict(loss.named_buffers())))
            for start in range(begin, begin + BATCH * accumulate, BATCH):
                part = slice(start, start + BATCH)
                (loss(model(inputs[part]), targets[part]) / accumulate).backward()
            if all(parameter.grad.isfinite().all() for parameter in model.parameters()):
                stepper.step()
            else:
                model.load_state_dict(before[0])
                for name, value in before[1].items():
                    loss._buffers[name] = value
            stepper.zero_grad()
    return {**model.state_dict(), **{f"loss.{name}": value for name, value in loss.named_buffers()}}


def final(run):
    loss = run.stages[0].losses["ce"].loss
    return {**run.models["student"].state_dict(), **{f"loss.{name}": value for name, value in loss.named_buffers()}}


@pytest.mark.parametrize("optimizer", [FUSED, PLAIN])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("host_knows", [True, False])
def test_a_withheld_step_leaves_no_trace(experiment, monkeypatch, optimizer, accumulate, host_knows):
    """`host_knows` is False on every other device; the tensors of a CPU take that path, too."""
    monkeypatch.setattr("distill_core.train._kept_buffers._host_knows", lambda device: host_knows)
    run = made(experiment, optimizer, nonfinite="skip", accumulate=accumulate)
    Trainer(run).fit()
    expected = plain_loop(optimizer, accumulate)
    assert final(run).keys() == expected.keys()
    for name, value in final(run).items():
        torch.testing.assert_close(value, expected[name], msg=name)


@pytest.mark.parametrize("every_steps", [None, 1, 2, 3])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("log_every", [1, 100])
@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
def test_nothing_that_is_saved_is_poisoned(experiment, tmp_path, saved, policy, log_every, value, every_steps):
    run = made(experiment, value=value, every_steps=every_steps, nonfinite=policy, log_every=log_every)
    trainer = Trainer(run, output=tmp_path)
    if policy == "stop":
        with pytest.raises(TrainingError, match="batch 2: the gradients or buffers are not finite"):
            trainer.fit()
        assert len(saved) == (2 // every_steps if every_steps else 0)
    else:
        trainer.fit()
        assert (tmp_path / "student.safetensors").is_file()
    for state in saved:
        assert_finite(state)
    for path in (tmp_path / "checkpoints").glob("step-*"):
        assert_finite(trainer.store.read_named(path.name)["models"])
    assert_finite([dict(model.state_dict()) for model in run.models.values()])
    assert_finite(final(run))


def test_rollback_and_skip_end_with_the_same_weights(experiment, tmp_path):
    runs = [made(experiment, nonfinite=policy, every_steps=1, log_every=1) for policy in ("skip", "rollback")]
    for number, run in enumerate(runs):
        Trainer(run, output=tmp_path / str(number)).fit()
    first, second = map(final, runs)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_statistics_that_no_gradient_shows_are_a_fault_too(experiment, caplog):
    """A branch that the loss does not read: its gradient is zero, its running statistics are not a number."""

    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.aside = nn.Linear(6, 3), nn.BatchNorm1d(6, momentum=0.5, affine=False)

        def forward(self, x):
            self.aside(x)
            return self.main(x.nan_to_num())

    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    run = experiment(
        models={"student": Branch()},
        data={"train": Loader(data(), BATCH)},
        stages=[Stage(epochs=1, losses={"ce": ce}, optimizer=FUSED)],
        callbacks=(),
        nonfinite="skip",
    )
    Trainer(run).fit()
    assert len(caplog.messages) == 1
    assert_finite(dict(run.models["student"].state_dict()))
    assert run.models["student"].aside.num_batches_tracked == SAMPLES // BATCH - 1


@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
@pytest.mark.parametrize("has_folder", [False, True])
def test_weights_that_overflow_end_the_run_in_an_error(experiment, tmp_path, saved, policy, has_folder):
    """Finite gradients times a learning rate that no float32 can hold; the last step, so that no later batch shows it."""
    if policy == "rollback" and not has_folder:
        return
    overflow = Overflow()
    run = made(experiment, value=0.0, nonfinite=policy)
    trainer = Trainer(run, output=tmp_path if has_folder else None, callbacks=[overflow])
    with pytest.raises(TrainingError, match=r"^stage 0, epoch 2, step 12: not finite: student\.0\.weight"):
        trainer.fit()
    assert not (tmp_path / "student.safetensors").exists()
    for state in saved:
        assert_finite(state)


class Overflow(Callback):
    def on_step_end(self, trainer):
        if trainer.state.step == 12:
            trainer.models["student"][0].weight.data.mul_(1e38).mul_(1e38)


def test_masks_of_minus_infinity_are_no_fault(experiment, tmp_path):
    run = made(experiment, value=0.0)
    run.models["student"].register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
    Trainer(run, output=tmp_path).fit()
    assert (tmp_path / "student.safetensors").is_file()
