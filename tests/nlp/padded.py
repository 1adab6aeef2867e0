"""Runs of one step of models with padded vocabularies, and their gradients by hand."""

from __future__ import annotations

import copy
from functools import partial

import torch

from distill_core.data import Loader
from distill_core.train import Experiment, Stage, Term, Trainer

TEXTS = [f"the {a} {b} and the {b} {a}" for a in ("red", "blue") for b in ("cat", "dog", "bird")]
SMALL, LARGE = 272, 288  # of the 270 tokens of the tokenizer
LOGITS = {"student": "student:out.logits", "teacher": "teacher:out.logits", "mask": "batch.mask"}


def experiment_of(models, loader, loss, inputs=LOGITS, cache=None, extra=None):
    feed = {name: {"input_ids": "batch.input_ids"} for name in models}
    terms = {"kd": Term(loss=loss, inputs=inputs)} | (extra or {})
    stage = Stage(epochs=1, losses=terms, optimizer=partial(torch.optim.SGD, lr=1.0), feed=feed, train=["student"])
    return Experiment(models=models, data={"train": loader}, stages=[stage], cache=cache or {})


def batch_of(loader):
    return next(iter(Loader(loader.dataset, len(loader.dataset), collate=getattr(loader.dataset, "collate", None))))


def by_hand(models, batch, loss, least):
    """Return the gradient of a loss of logits that are cut to their first entries."""
    models = copy.deepcopy(models)
    with torch.no_grad():
        theirs = models["teacher"](batch["input_ids"]).logits[..., :least]
    loss(models["student"](batch["input_ids"]).logits[..., :least], theirs, batch).backward()
    return {name: parameter.grad for name, parameter in models["student"].named_parameters()}


def trained_gradient(experiment):
    """Return the gradient of a run of one step with a learning rate of 1."""
    student = experiment.models["student"]
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    Trainer(experiment).fit()
    return {name: before[name] - parameter.detach() for name, parameter in student.named_parameters()}


def assert_equal(found, expected):
    assert any(gradient.abs().max() > 1e-4 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=2e-6, rtol=1e-4)
