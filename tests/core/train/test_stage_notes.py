"""What a run says when a stage can run but cannot be meant: warnings at its start, refusals before its first step."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from distill_core import losses
from distill_core.data import Loader
from distill_core.errors import DataError, TrainingError, WiringError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer

SGD = partial(torch.optim.SGD, lr=0.1)
LOGITS = {"student": "student", "teacher": "teacher"}
CE = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})


@dataclass
class Output:
    logits: torch.Tensor
    hidden: torch.Tensor | None = None


class Structured(nn.Module):
    """Gives a dataclass or a mapping instead of a tensor."""

    def __init__(self, kind):
        super().__init__()
        self.fc, self.kind = nn.Linear(4, 3), kind

    def forward(self, inputs):
        return self.kind(self.fc(inputs))


def fit(*, models=None, terms=None, size=12, batch_size=4, drop_last=False, classes=3, data=None, **stage):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(size, 4, generator=generator)
    data = TensorDataset(inputs, (inputs[:, 0] > 0).long() % classes) if data is None else data
    loader = Loader(data, batch_size, drop_last=drop_last)
    models = models or {"student": nn.Linear(4, classes)}
    whole = {"epochs": 2, "optimizer": SGD, "losses": terms or {"ce": CE}, **stage}
    Trainer(Experiment(models=models, data={"train": loader}, stages=[Stage(**whole)])).fit()


@pytest.fixture
def told(caplog):
    """The warnings of a run."""
    caplog.set_level(logging.WARNING, "distill")
    return lambda **settings: (fit(**settings), [record.getMessage() for record in caplog.records])[1]


def test_a_plain_stage_says_nothing(told):
    assert told() == []


def test_models_that_nobody_named_are_named(told):
    models = {"big": nn.Linear(4, 3), "student": nn.Linear(4, 3)}
    terms = {"ce": CE, "kd": Term(loss=losses.KDLoss(), inputs={"student": "student", "teacher": "big"})}
    sentence = "stages.0: `train` is omitted, so these models learn: big, student"
    assert told(models=models, terms=terms)[0].startswith(sentence)


def test_models_that_somebody_named_are_not(told):
    models = {"big": nn.Linear(4, 3), "student": nn.Linear(4, 3)}
    terms = {"kd": Term(loss=losses.KDLoss(), inputs={"student": "student", "teacher": "big"})}
    assert told(models=models, terms=terms, train=["student"]) == []


def test_a_second_view_of_a_model_is_not_another_model(told):
    student = nn.Linear(4, 3)
    other = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "again", "target": "batch.target"})
    assert told(models={"student": student, "again": nn.Sequential(student)}, terms={"ce": CE, "other": other}) == []


NORMS = {
    "student": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.9)),
    "maps": nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, momentum=0.9), nn.Flatten(), nn.Linear(12, 3)
    ),
}


def test_a_last_batch_of_one_is_told_at_the_start_and_ends_with_a_remedy(caplog):
    with pytest.raises(TrainingError) as raised:
        fit(models={"student": NORMS["student"]}, size=9)
    assert "has one sample" in caplog.records[0].getMessage()
    assert str(raised.value).startswith("a batch of one sample cannot be normalised by BatchNorm in 'student': ")
    assert str(raised.value).endswith("hint: set `drop_last: true`, or another batch_size")


def test_a_last_batch_of_one_that_torch_can_normalise_is_told(told):
    [message] = told(models={"student": NORMS["maps"]}, size=9)
    assert message.startswith("stages.0: the last batch has one sample, from which BatchNorm in 'student' gets poor")


class Projected(nn.Module):
    """A loss with a layer that normalises by the batch."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, input):  # noqa: A002
        return self.norm(input).square().mean()


def test_a_last_batch_of_one_in_the_projection_of_a_loss(told):
    terms = {"pad": Term(loss=Projected(), inputs={"input": "student"})}
    with pytest.raises(TrainingError, match=r"BatchNorm in losses\.pad"):
        fit(terms=terms, size=9)


@pytest.mark.parametrize("settings", [{"size": 9, "drop_last": True}, {"size": 10}, {"size": 8}])
def test_other_last_batches_are_not_told(told, settings):
    assert told(models={"student": NORMS["student"]}, **settings) == []


LR = torch.optim.lr_scheduler
SCHEDULERS = [
    (
        partial(LR.OneCycleLR, max_lr=0.1, total_steps=99),
        "step",
        "OneCycleLR has total_steps=99, but it advances 6 times",
    ),
    (partial(LR.OneCycleLR, max_lr=0.1, total_steps=6), "step", ""),
    (partial(LR.OneCycleLR, max_lr=0.1, epochs=2, steps_per_epoch=3), "step", ""),
    (partial(LR.CosineAnnealingLR, T_max=200), "epoch", "CosineAnnealingLR has T_max=200, but it advances 2 times"),
    (partial(LR.CosineAnnealingLR, T_max=2), "epoch", ""),
    (LR.CosineAnnealingLR, "step", ""),
    (partial(LR.LinearLR, total_iters=1), "epoch", ""),
    (partial(LR.LinearLR, total_iters=9), "epoch", "LinearLR has total_iters=9"),
    (partial(LR.PolynomialLR, total_iters=1), "epoch", "PolynomialLR has total_iters=1"),
    (partial(LR.StepLR, step_size=30), "epoch", ""),
    (
        partial(LR.ReduceLROnPlateau, mode="max"),
        "epoch",
        "ReduceLROnPlateau with mode 'max' is given the mean training loss",
    ),
    (LR.ReduceLROnPlateau, "epoch", ""),
]


@pytest.mark.parametrize(("scheduler", "each", "message"), SCHEDULERS)
def test_a_scheduler_of_another_length_is_told(told, scheduler, each, message):
    messages = told(scheduler=scheduler, scheduler_step=each)
    assert [message in told for told in messages] == ([True] if message else [])


def test_a_plateau_has_nothing_to_watch_after_a_step():
    with pytest.raises(TrainingError, match="there is none after a step\n  hint: set `scheduler_step: epoch`"):
        fit(scheduler=LR.ReduceLROnPlateau, scheduler_step="step")


OF_SAMPLES = [losses.KDLoss, losses.TTMLoss, losses.PixelwiseLoss, losses.DMLLoss]
OF_TOKENS = [losses.ForwardKLLoss, losses.ReverseKLLoss, losses.GeneralisedJSDLoss, losses.SkewedKLLoss]


@pytest.mark.parametrize("loss", OF_SAMPLES)
def test_a_softmax_over_one_output_alone_is_refused(loss):
    inputs = {"student": ["student", "teacher"]} if loss is losses.DMLLoss else LOGITS
    models = {"teacher": nn.Linear(4, 1), "student": nn.Linear(4, 1)}
    with pytest.raises(WiringError) as raised:
        fit(models=models, terms={"kd": Term(loss=loss(), inputs=inputs)})
    assert "a softmax over one output is always 1, so this loss teaches nothing" in str(raised.value)
    assert "hint: use MSELoss for a score" in str(raised.value)


@pytest.mark.parametrize("loss", OF_TOKENS)
def test_a_softmax_over_one_output_of_each_token_is_refused(loss):
    with pytest.raises(WiringError, match=rf"losses\.x \({loss.__name__}\): a softmax over one output is always 1"):
        tag(1, loss(), LOGITS)


def test_losses_that_no_learning_parameter_reaches_are_refused():
    terms = {"kd": Term(loss=losses.KDLoss(), inputs=LOGITS)}
    models = {"teacher": nn.Linear(4, 3), "student": nn.Linear(4, 3)}
    with pytest.raises(WiringError, match=r"no parameter that learns has an influence on losses\.kd"):
        fit(models=models, terms=terms, train=["teacher"])


def test_a_cross_entropy_of_one_output_is_refused():
    with pytest.raises(WiringError, match=r"losses\.ce \(CrossEntropyLoss\): a softmax over one output"):
        fit(classes=1)


def test_a_softmax_over_one_output_beside_a_loss_that_teaches_is_told(told):
    models = {"teacher": nn.Linear(4, 1), "student": nn.Linear(4, 1)}
    kd = Term(loss=losses.KDLoss(), inputs={"student": "student", "teacher": "teacher"})
    mse = Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "teacher"})
    [message] = told(models=models, terms={"kd": kd, "mse": mse})
    assert message.startswith("losses.kd (KDLoss): a softmax over one output is always 1, so this loss teaches nothing")


class Tags(nn.Module):
    """Logits (batch, tokens, classes)."""

    def __init__(self, classes):
        super().__init__()
        self.table = nn.Embedding(5, classes)

    def forward(self, tokens):
        return self.table(tokens)


def tag(classes, loss, inputs):
    data = TensorDataset(torch.arange(32).reshape(8, 4) % 5, torch.ones(8, 4, dtype=torch.long))
    models = {"teacher": Tags(classes), "student": Tags(classes)}
    stage = Stage(epochs=1, optimizer=SGD, losses={"x": Term(loss=loss, inputs=inputs)}, train=["student"])
    Trainer(Experiment(models=models, data={"train": Loader(data, 4)}, stages=[stage])).fit()


LABELS = {"input": "student", "target": "batch.target"}


@pytest.mark.parametrize(
    ("loss", "inputs"), [(losses.KDLoss(), LOGITS), (nn.CrossEntropyLoss(), LABELS), (nn.NLLLoss(), LABELS)]
)
def test_classes_that_come_last_in_a_loss_that_has_them_second(caplog, loss, inputs):
    tag(4, loss, inputs)  # as many classes as tokens: torch does not mind
    [message] = [record.getMessage() for record in caplog.records]
    assert "the classes of (4, 4, 4) are taken to be its dimension 1, which are the tokens of batch." in message


def test_classes_that_come_last_where_torch_does_mind():
    with pytest.raises(
        WiringError, match=r"losses\.x \(CrossEntropyLoss\): the classes of \(4, 4, 3\) are taken to be"
    ):
        tag(3, nn.CrossEntropyLoss(), LABELS)


def test_a_loss_of_tokens_is_not_told(caplog):
    tag(3, losses.ForwardKLLoss(), LOGITS)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Output, "'teacher' is a Output, not a tensor; it has the fields 'logits'\n  hint: tap one of them, 'teacher:out.logits'"),
        (lambda x: {"out": x, "aux": x}, "'teacher' is a dict, not a tensor; it has the fields 'out', 'aux'\n  hint: tap one of them, 'teacher:out.out'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "loss", [losses.KDLoss(), losses.DISTLoss() if hasattr(losses, "DISTLoss") else losses.KDLoss()]
)
def test_a_structure_in_the_place_of_a_tensor(kind, message, loss):
    terms = {"kd": Term(loss=loss, inputs=LOGITS)}
    with pytest.raises(WiringError) as raised:
        fit(models={"teacher": Structured(kind), "student": nn.Linear(4, 3)}, terms=terms)
    assert str(raised.value).startswith(f"losses.kd: {message}")


def test_a_loss_that_takes_a_structure_gets_it(told):
    terms = {"mine": Term(loss=lambda output: output["out"].square().mean(), inputs={"output": "student"})}
    assert told(models={"student": Structured(lambda x: {"out": x})}, terms=terms) == []


@pytest.mark.parametrize("label", [3, 9, -1, 255])
@pytest.mark.parametrize("shape", [(), (5,)], ids=["samples", "positions"])
def test_a_label_beyond_the_classes_is_named(label, shape):
    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * torch.zeros(len(x), 3, *shape)

    targets = torch.zeros(8, *shape, dtype=torch.long)
    targets[1] = label
    terms = {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})}
    with pytest.raises(WiringError) as raised:
        fit(models={"student": Logits()}, terms=terms, data=TensorDataset(torch.zeros(8, 4), targets))
    assert str(raised.value) == (f"losses.ce: `target` has the label {label}, but the logits have 3 classes, 0 to 2")


def test_a_field_of_float64_is_named():
    terms = {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})}
    data = TensorDataset(torch.zeros(8, 4, dtype=torch.float64), torch.zeros(8, dtype=torch.long))
    with pytest.raises(
        DataError, match=r"^batch\.input is float64, which no model is: .*\n  hint: convert it in the data"
    ):
        fit(models={"student": nn.Linear(4, 3)}, terms=terms, data=data)
