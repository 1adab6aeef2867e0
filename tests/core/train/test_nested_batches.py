"""Batches of any nesting, and samplers of any kind, in training, evaluation, caches and on the meta device."""

from __future__ import annotations

import contextlib
from collections import namedtuple
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)

from distill_core.errors import DataError
from distill_core.preview import _example_batch
from distill_core.preview._example_batch import NUM_SAMPLES, example_batch
from distill_core.train import Callback, Checkpoint, Evaluation, Experiment, Metric, Stage, Term, Trainer, evaluate
from distill_core.tree import tensors

from .teachers.caching import cached

Pair = namedtuple("Pair", "left right")
COUNT, SIZE = 11, 4


@dataclass
class Record:
    left: object
    right: object


class Images(list):
    """A list of a class of its own."""


NESTINGS = {
    "dict": lambda a, b: {"left": a, "right": b},
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "named tuple": Pair,
    "nested": lambda a, b: {"left": [Pair(a, "text")], "right": (b, [1.5, "x", {"n": 3}])},
    "dataclass": lambda a, b: {"left": a, "right": b},
    "with None": lambda a, b: {"left": a, "right": b, "text": "text"},
    "own list": lambda a, b: Images([a, b]),
}


class Nested(Dataset):
    def __init__(self, nesting):
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(COUNT, 2, 3, generator=generator)
        self.nesting = NESTINGS[nesting]

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        left, right = self.inputs[index]
        return {"input": self.nesting(left, right), "target": index % 3, "name": f"sample {index}"}


def as_record(samples):
    batch = default_collate(samples)
    return batch | {"input": Record(**batch["input"])}


def with_none(samples):
    batch = default_collate(samples)
    return batch | {"input": batch["input"] | {"text": None}}


COLLATES = {"dataclass": as_record, "with None": with_none}


def loader(nesting, **options):
    options = options or {"batch_size": SIZE}
    return DataLoader(Nested(nesting), collate_fn=COLLATES.get(nesting), **options)


class Reads(nn.Module):
    """Adds up the two tensors of an input, however they are nested, and returns what it was told to."""

    def __init__(self, output, width=3):
        super().__init__()
        self.layer = nn.Linear(3, width)
        self.output = output
        self.batches = []

    def forward(self, value):
        left, right = (tensor for tensor in tensors(value) if tensor.shape[1:] == (3,))
        self.batches.append(len(left))
        return self.output(self.layer(left), right)


class Mean:
    def reset(self):
        self.seen = []

    def update(self, value, names):
        assert len(value) == len(names)
        self.seen += list(zip(names, value[:, 0].tolist(), strict=True))

    def compute(self):
        return sum(value for _, value in self.seen) / len(self.seen)


def of_left(input, target):  # noqa: A002  as torch's losses
    return (input - target.left).square().mean()


def experiment(data, teacher="teacher:out.left", output=Pair, loss=nn.MSELoss(), **options):  # noqa: B008
    torch.manual_seed(1)
    models = {"teacher": Reads(output), "student": Reads(lambda logits, _: logits)}
    terms = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "kd": Term(loss=loss, inputs={"input": "student", "target": teacher}),
    }
    stage = Stage(epochs=2, losses=terms, optimizer=partial(torch.optim.SGD, lr=0.1))
    return Experiment(models=models, data={"train": data}, stages=[stage], **options)


def trained(run):
    Trainer(run).fit()
    return run.models["student"].layer.weight.detach().clone()


@pytest.mark.parametrize("nesting", NESTINGS)
def test_every_nesting_trains_and_is_measured_as_plain_tensors_are(nesting):
    assert torch.equal(trained(experiment(loader(nesting))), trained(experiment(loader("tuple"))))
    torch.manual_seed(0)
    model = Reads(lambda logits, _: logits)
    inputs = {"value": "model", "names": "batch.name"}
    measured = evaluate(
        {"model": model}, Evaluation(loader=loader(nesting), metrics={"m": Metric(metric=Mean(), inputs=inputs)})
    )
    assert measured["m"] == pytest.approx(model.layer(Nested("tuple").inputs[:, 0])[:, 0].mean().item(), abs=1e-6)
    assert model.batches == [4, 4, 3]


@pytest.mark.parametrize("nesting", NESTINGS)
def test_every_nesting_goes_to_the_meta_device(nesting, monkeypatch):
    monkeypatch.setattr(_example_batch, "MAX_REAL", 0)  # small tensors are kept otherwise, as models may look into them
    on_meta, batch = example_batch(loader(nesting)), next(iter(loader(nesting)))
    assert type(on_meta["input"]) is type(batch["input"])
    assert all(tensor.is_meta == tensor.is_floating_point() for tensor in tensors(on_meta))
    assert [tensor.shape for tensor in tensors(on_meta["input"])] == [
        tensor.shape for tensor in tensors(batch["input"])
    ]
    assert on_meta["name"] == [batch["name"][index % NUM_SAMPLES] for index in range(len(batch["name"]))]


OUTPUTS = {
    "named tuple": (Pair, "teacher:out.left"),
    "dataclass": (Record, "teacher:out.left"),
    "dict": (lambda a, b: {"left": a, "right": b}, "teacher:out.left"),
    "tuple": (lambda a, b: (a, b), "teacher:out.0"),
    "with None": (lambda a, _: Pair(a, None), "teacher:out.left"),
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("nesting", ["named tuple", "dataclass", "nested"])
def test_a_cached_teacher_may_return_and_take_any_nesting(output, nesting, tmp_path):
    make, tap = OUTPUTS[output]
    live = trained(experiment(loader(nesting), tap, make, views=1))
    for _ in range(2):  # built, then read
        assert torch.equal(trained(experiment(loader(nesting), tap, make, cache=cached(tmp_path, views=1))), live)


@pytest.mark.parametrize("output", ["named tuple", "dataclass"])
def test_a_record_that_would_come_back_as_something_else_is_not_cached(output, tmp_path):
    run = experiment(loader("tuple"), "teacher", OUTPUTS[output][0], of_left, cache=cached(tmp_path, views=1))
    with pytest.raises(
        DataError, match=r"cannot be cached: it is a (Pair|Record).*\n  hint: tap its fields, 'left' and 'right'"
    ):
        Trainer(run).fit()


class Detector(nn.Module):
    """Takes a list of images of different sizes."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)
        self.calls = []

    def forward(self, images):
        self.calls.append([tuple(image.shape) for image in images])
        return torch.stack([self.layer(image).mean((1, 2)) for image in images])


class Photos(Dataset):
    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        return torch.ones(3, 2 + index % 2, 4), index % 3


def lists(samples):
    return [image for image, _ in samples], torch.tensor([target for _, target in samples])


def test_a_last_batch_of_as_many_images_as_channels_is_not_padded_by_channels():
    """11 images in batches of 4: three images of three channels are left."""
    run = experiment(DataLoader(Photos(), SIZE, collate_fn=lists), "teacher")
    run.models.update(teacher=Detector(), student=Detector())
    Trainer(run).fit()
    for model in run.models.values():
        assert [len(shapes) for shapes in model.calls] == [4, 4, 3] * 2
        assert {shape[0] for shapes in model.calls for shape in shapes} == {3}


SAMPLERS = {
    "subset": {"sampler": SubsetRandomSampler([1, 3, 5, 7, 9]), "batch_size": 2},
    "weighted": {"sampler": WeightedRandomSampler([1.0] + [0.0] * 8 + [3.0, 2.0], 13), "batch_size": 3},
    "several times": {"sampler": RandomSampler(range(COUNT), num_samples=2 * COUNT), "batch_size": 4},
    "batches": {"batch_sampler": [[0, 1, 2], [3], [4, 5, 5, 6]]},
    "plain batches": {"batch_sampler": BatchSampler(SubsetRandomSampler([1, 3, 5, 7, 9]), 2, drop_last=False)},
}


class Indices(Callback):
    """What is trained on in each step."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, trainer):
        self.seen.append(trainer._plan.indices[trainer.state.batch - 1].tolist())


class StopError(Exception):
    pass


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.state.step == self.step:
            raise StopError


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_with_a_sampler_resumes_where_the_undisturbed_one_is(name, tmp_path):
    def run(folder, *callbacks, resume=False):
        made = experiment(loader("named tuple", **SAMPLERS[name]), callbacks=[Checkpoint(every_steps=1)])
        seen = Indices()
        trainer = Trainer(made, output=tmp_path / folder, callbacks=[seen, *callbacks])
        with contextlib.suppress(StopError):
            trainer.fit(resume=resume)
        return seen.seen, made.models["student"].layer.weight.detach()

    seen, whole = run("whole")
    assert len(seen) == 2 * len(loader("named tuple", **SAMPLERS[name]))
    allowed = {"weighted": {0, 9, 10}, "several times": set(range(COUNT)), "batches": set(range(7))}
    assert {index for batch in seen for index in batch} <= allowed.get(name, {1, 3, 5, 7, 9})
    for step in (2, len(seen) // 2 + 1):
        before, _ = run(f"killed {step}", StopAt(step))
        after, resumed = run(f"killed {step}", resume=True)
        assert before[: step - 1] + after[-(len(seen) - step + 1) :] == seen
        assert torch.equal(resumed, whole)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_cached_teacher_with_a_sampler_is_the_live_one(name, tmp_path):
    made = partial(experiment, loader("tuple", **SAMPLERS[name]))
    live = trained(made(views=2))
    for _ in range(2):
        assert torch.allclose(trained(made(cache=cached(tmp_path, views=2))), live, atol=1e-6)
