"""Training on streams: the samples of a plain loop, with any number of workers, killed at any step or not."""

from __future__ import annotations

import importlib
import itertools
import json

import pytest
import torch
from torch.utils.data import DataLoader

from distill_core.data import SeedPath, Stream, as_loader
from distill_core.errors import DataError, TrainingError
from distill_core.preview import preview
from distill_core.train import Checkpoint, Evaluation, Metric, Stage, Trainer, evaluate

from ..conftest import TopOne
from ..killing import KillAt, KillError
from .streams import NUM_SAMPLES, BatchLoader, Forgetful, Stateful, Stateless, of_datasets, sample

READER = importlib.import_module("distill_core.data._stream")


STREAMS = {
    "stateful": lambda **options: Stream(Stateful(), 4, **options),
    "datasets": lambda **options: Stream(of_datasets(), 4, **options),
    "batches": lambda **options: as_loader(BatchLoader()),
}


def make(experiment, stream, *, steps=12, **stage):
    first = experiment().stages[0]
    fields = {**vars(first), "epochs": None, "steps": steps, "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR}
    return experiment(
        stages=[Stage(**{**fields, "scheduler_step": "step", **stage})],
        data={"train": stream},
        callbacks=[Checkpoint(every_steps=2)],
        log_every=3,
    )


def outcome(run, folder, *, resume=False, callbacks=()):
    results = Trainer(run, output=folder, callbacks=callbacks).fit(resume=resume)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    log = [{key: value for key, value in line.items() if key != "samples_per_second"} for line in lines]
    return run.models["student"].state_dict(), {**results, "seconds": 0}, log


def same(one, other):
    return all(torch.equal(one[0][name], other[0][name]) for name in one[0]) and one[1:] == other[1:]


def test_it_yields_the_samples_of_a_loop_that_begins_again():
    stream = Stream(of_datasets(), 4)
    batches = list(stream.batches(SeedPath(), plan=stream.plan(SeedPath()).pick(range(9))))
    expected = [sample(index) for index in itertools.islice(itertools.cycle(range(NUM_SAMPLES)), 36)]
    for number, batch in enumerate(batches):
        rows = expected[4 * number : 4 * number + 4]
        assert torch.equal(batch["input"], torch.stack([row["input"] for row in rows]))
        assert batch["index"].tolist() == list(range(4 * number, 4 * number + 4))


def test_each_pass_has_its_epoch():
    stream = Stream(Stateful(), NUM_SAMPLES)
    batches = list(stream.batches(SeedPath(), plan=stream.plan(SeedPath()).pick(range(3))))
    for epoch, batch in enumerate(batches):
        expected = torch.stack([sample(index + 100 * epoch)["input"] for index in range(NUM_SAMPLES)])
        assert (batch["input"] - expected).abs().max() < 0.6


@pytest.mark.parametrize("kind", ["stateful", "datasets"])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_number_of_workers_changes_nothing(kind, num_workers):
    def read(stream):
        return list(stream.batches(SeedPath(3, 1), plan=stream.plan(SeedPath()).pick(range(8))))

    here, there = read(STREAMS[kind]()), read(STREAMS[kind](num_workers=num_workers))
    assert len(here) == len(there) == 8
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_killed_at_any_step_it_ends_where_the_undisturbed_run_does(experiment, tmp_path, kind, accumulate):
    expected = outcome(make(experiment, STREAMS[kind](), accumulate=accumulate), tmp_path / "whole")
    for step in range(3, 13):
        with pytest.raises(KillError):
            outcome(
                make(experiment, STREAMS[kind](), accumulate=accumulate), tmp_path / str(step), callbacks=[KillAt(step)]
            )
        workers = 0 if step % 5 else 2
        resumed = make(experiment, STREAMS[kind](num_workers=workers), accumulate=accumulate)
        assert same(outcome(resumed, tmp_path / str(step), resume=True), expected), step


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            Stateless,
            "Stateless has no `state_dict` and `load_state_dict`, so a run cannot resume within it bit for bit",
        ),
        (Forgetful, "Forgetful continues with other samples after `load_state_dict`"),
        (lambda: of_datasets(shuffled=True), "IterableDataset has a shuffle buffer, which its state does not hold"),
    ],
)
def test_a_stream_that_cannot_continue_is_refused_on_resume_and_noted_before(experiment, tmp_path, dataset, message):
    notes = preview(make(experiment, Stream(dataset(), 4))).stages[0].notes
    assert any(message in note.message for note in notes)
    with pytest.raises(KillError):
        outcome(make(experiment, Stream(dataset(), 4)), tmp_path, callbacks=[KillAt(5)])
    with pytest.raises(DataError, match="give a stream whose `state_dict` restores it") as error:
        outcome(make(experiment, Stream(dataset(), 4)), tmp_path, resume=True)
    assert message in str(error.value)


def test_a_stage_of_epochs_is_refused(experiment):
    message = "the data are a stream (Stateful), which has no number of epochs\n  hint: set `steps` instead of `epochs`"
    run = make(experiment, Stream(Stateful(), 4), steps=None, epochs=1)
    with pytest.raises(TrainingError) as error:
        Trainer(run).fit()
    assert str(error.value) == message
    assert [str(problem) for problem in preview(run).problems] == [f"stages.0: {message}"]


def test_views_of_a_stream_are_refused(experiment):
    run = make(experiment, Stream(Stateful(), 4))
    with pytest.raises(TrainingError, match="a stream has no fixed samples"):
        Trainer(experiment(stages=run.stages, data=run.data, callbacks=[], views=1)).fit()


@pytest.mark.parametrize("kind", STREAMS)
def test_processes_share_the_batches_of_one(monkeypatch, kind):
    def read(rank, processes):
        monkeypatch.setattr(READER, "rank", lambda: rank)
        monkeypatch.setattr(READER, "world_size", lambda: processes)
        stream = STREAMS[kind]()
        plan = stream.plan(SeedPath()).pick(range(6 // processes))
        batches = list(stream.batches(SeedPath(), plan=plan))
        assert [batch["index"].tolist() for batch in batches] == [index.tolist() for index in plan.indices[:]]
        return batches

    alone, first, second = read(0, 1), read(0, 2), read(1, 2)
    shared = [batch for pair in zip(first, second, strict=True) for batch in pair]
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one["input"], other["input"])


def test_a_metric_reads_one_pass_to_its_end(experiment):
    model = experiment().models["student"]
    inputs = {"preds": "student", "target": "batch.target"}
    metric = {"top1": Metric(metric=TopOne(), inputs=inputs)}
    found = evaluate({"student": model}, Evaluation(loader=Stream(of_datasets(), 4), metrics=metric))
    rows = [sample(index) for index in range(NUM_SAMPLES)]
    with torch.no_grad():
        predicted = model.eval()(torch.stack([row["input"] for row in rows])).argmax(1)
    right = (predicted == torch.stack([row["target"] for row in rows])).float().mean()
    assert found["top1"] == pytest.approx(100 * float(right))


def test_a_dataloader_of_an_iterable_dataset_becomes_a_stream():
    stream = as_loader(DataLoader(Stateful(), 4, num_workers=1))
    assert isinstance(stream, Stream)
    assert (stream.batch_size, stream.num_workers) == (4, 1)
    for options in ({"batch_size": None}, {"batch_size": 4, "drop_last": True}):
        with pytest.raises(DataError):
            as_loader(DataLoader(Stateful(), **options))


def test_a_loader_with_a_batch_of_another_size_is_refused():
    stream = Stream(BatchLoader(5), 4, yields_batches=True)
    with pytest.raises(DataError, match="yields a batch of 5 samples, not of 4"):
        next(stream.batches(SeedPath(), plan=stream.plan(SeedPath())))


def test_an_empty_stream_is_refused():
    class Empty(Stateless):
        def __iter__(self):
            return iter(())

    stream = Stream(Empty(), 4)
    with pytest.raises(DataError, match="Empty yields nothing"):
        next(stream.batches(SeedPath(), plan=stream.plan(SeedPath())))
