"""Samples packed by best fit: losses and gradients are those of each sample alone; runs resume; caches read them."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from distill_core.experiment import CacheSettings
from distill_core.losses import ForwardKLLoss, TokenCELoss, TopKKLLoss
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer
from distill_core.weights import read_weights
from distill_nlp.data import completions, conversations

from ..chat_tokenizers import chat_tokenizer, template
from ..data.test_best_fit import CHATS

FEED = {"input_ids": "batch.input_ids", "position_ids": "batch.position_ids"}
STORED = {"teacher": "teacher:out.logits.log_probs", "index": "teacher:out.logits.index"}


@pytest.fixture
def tokenizer():
    return chat_tokenizer(chat_template=template())


def load(kind, tokenizer, **options):
    options = {"tokenizer": tokenizer, "batch_size": 2, "max_length": 96, "shuffle": False} | options
    if kind == "conversations":
        return conversations([{"messages": chat} for chat in CHATS], **options)
    return completions([{"prompt": f"question {n}", "completion": "so " * (n % 5 + 1)} for n in range(12)], **options)


@pytest.mark.parametrize("kind", ["conversations", "completions"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_loss_of_blocks_is_the_sum_over_samples(decoder, family, tokenizer, kind, attention):
    model = decoder(
        family, vocab_size=300, max_position_embeddings=96, use_cache=False, attn_implementation=attention
    ).train()
    packed = load(kind, tokenizer, packed=True).dataset
    packed.check_model("student", model, {"input_ids": "input_ids", "position_ids": "position_ids"})
    alone = copy.deepcopy(model)
    expected = torch.zeros(())
    for sample in load(kind, tokenizer).dataset:
        logits = alone(input_ids=sample["input_ids"].long()[None]).logits[0]
        expected = expected + cross_entropy(logits, sample["target"].long(), reduction="sum")
    batch = packed.batch(torch.arange(len(packed)), torch.zeros(len(packed)))
    logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
    found = TokenCELoss()(logits, batch["target"]) * batch["mask"].sum()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    found.backward()
    expected.backward()
    for one, other in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-3)


def experiment_of(models, loader, cache=None, loss=None, inputs=None):
    models = copy.deepcopy(models)
    given = {"student": "student:out.logits", "mask": "batch.mask"} | (inputs or {"teacher": "teacher:out.logits"})
    stage = Stage(
        epochs=2,
        losses={"kd": Term(loss=loss or ForwardKLLoss(), inputs=given)},
        optimizer=partial(torch.optim.SGD, lr=0.1),
        feed=dict.fromkeys(models, FEED),
        train=["student"],
    )
    return Experiment(models=models, data={"train": loader}, stages=[stage], cache=cache or {})


@pytest.fixture
def models(decoder):
    size = {"vocab_size": 300, "max_position_embeddings": 96, "use_cache": False}
    return {"teacher": decoder("qwen3", **size), "student": decoder("llama", **size)}


def trained(experiment, calls=None):
    if calls is not None:
        experiment.models["teacher"].register_forward_pre_hook(lambda *_: calls.append(1))
    Trainer(experiment).fit()
    return experiment.models["student"].state_dict()


@pytest.mark.parametrize("kind", ["conversations", "completions"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_cache_of_packed_samples(models, tokenizer, tmp_path, kind, shuffle):
    loader = load(kind, tokenizer, packed=True, shuffle=shuffle)
    cache = {"teacher": CacheSettings(folder=str(tmp_path), codec="topk-300", views=1)}
    live = trained(experiment_of(models, loader))
    found = []
    for _ in range(2):
        calls = []
        experiment = experiment_of(
            models, load(kind, tokenizer, packed=True, shuffle=shuffle), cache, TopKKLLoss(), STORED
        )
        found.append((trained(experiment, calls), len(calls)))
    (first, computed), (second, read) = found
    assert computed > 1 == read  # the check of isolation
    for name, tensor in live.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], tensor, rtol=1e-3, atol=1e-4)


class Stop(Callback):
    def on_step_end(self, run):
        if run.state.step == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["conversations", "completions"])
@pytest.mark.parametrize("codec", [None, "topk-8"])
def test_a_run_on_packed_samples_resumes_bit_for_bit(models, tokenizer, tmp_path, kind, codec):
    """It stops a step after a checkpoint, within an epoch, with live and with cached outputs of the teacher."""

    def trainer(folder, *callbacks):
        loader = load(kind, tokenizer, packed=True, shuffle=True, batch_size=1)
        cache = (
            {"teacher": CacheSettings(folder=str(tmp_path / folder / "cache"), codec=codec, views=1)} if codec else {}
        )
        experiment = experiment_of(models, loader, cache, *((TopKKLLoss(), STORED) if codec else ()))
        experiment = replace(experiment, callbacks=[Checkpoint(every_steps=4)], ema={"student": 0.5})
        return Trainer(experiment, output=tmp_path / folder, callbacks=callbacks)

    trainer("complete").fit()
    with pytest.raises(KeyboardInterrupt):
        trainer("stopped", Stop()).fit()
    trainer("stopped").fit(resume=True)
    for name in ("student", "student_ema"):
        expected, found = (read_weights(tmp_path / run / f"{name}.safetensors") for run in ("complete", "stopped"))
        assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
        initial = models["student"].state_dict()
        assert not all(torch.equal(tensor, initial[key]) for key, tensor in expected.items())


def test_another_packing_is_another_cache(models, tokenizer, tmp_path):
    cache = {"teacher": CacheSettings(folder=str(tmp_path), codec="topk-8", views=1)}
    for options, is_new in (({}, True), ({}, False), ({"max_length": 90}, True), ({"limit": 7}, True)):
        calls = []
        loader = load("conversations", tokenizer, packed=True, **options)
        trained(experiment_of(models, loader, cache, TopKKLLoss(), STORED), calls)
        assert (len(calls) > 1) is is_new


def test_results_hold_the_share_of_tokens(models, tokenizer):
    loader = load("conversations", tokenizer, packed=True)
    results = Trainer(experiment_of(models, loader)).fit()
    assert results["data"] == {"train": {"blocks": len(loader.dataset), "share_of_tokens": loader.dataset.share}}
