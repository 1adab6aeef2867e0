"""Top-k outputs of a language model from a cache: the second run does not call the teacher and ends with the same bits."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from distill_core.experiment import CacheSettings
from distill_core.losses import ForwardKLLoss, TopKKLLoss
from distill_core.train import Experiment, Stage, Term, Trainer
from distill_nlp.data import completions, language_modelling
from distill_nlp.models import tiny_gpt2
from distill_nlp.tokenizers import byte_level

TEXTS = [f"the {a} {b} and the {b} {a}" for a in ("red", "blue", "old") for b in ("cat", "dog", "bird", "fish")]


@pytest.fixture(scope="module")
def bpe():
    return byte_level(TEXTS, vocab_size=270)


@pytest.fixture(params=["packed", "completions"])
def loader(request, bpe, tmp_path):
    if request.param == "packed":
        return language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=3, block=10)
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": text[:8], "completion": text[8:]}) for text in TEXTS))
    return completions(path, tokenizer=bpe, batch_size=5, max_length=32, pad_to=32)


def run(loader, cache, loss, inputs):
    torch.manual_seed(0)
    teacher, student = (tiny_gpt2(vocab_size=270, layers=1, width=width, heads=2, max_length=32) for width in (16, 8))
    calls = []
    teacher.register_forward_pre_hook(lambda *_: calls.append(1))
    kd = Term(loss=loss, inputs={"student": "student:out.logits", "mask": "batch.mask"} | inputs)
    stage = Stage(
        epochs=2,
        losses={"kd": kd},
        optimizer=partial(torch.optim.SGD, lr=0.1),
        feed={name: {"input_ids": "batch.input_ids"} for name in ("teacher", "student")},
    )
    experiment = Experiment(
        models={"teacher": teacher, "student": student}, data={"train": loader}, stages=[stage], cache=cache
    )
    Trainer(experiment).fit()
    return student.state_dict(), len(calls)


def cached(folder, codec):
    return {"teacher": CacheSettings(folder=str(folder), codec=codec, views=1)}


def test_top_k_from_a_cache(loader, tmp_path):
    inputs = {"teacher": "teacher:out.logits.log_probs", "index": "teacher:out.logits.index"}
    (first, computed), (second, read) = (
        run(loader, cached(tmp_path / "cache", "topk-8"), TopKKLLoss(), inputs) for _ in range(2)
    )
    assert computed > 0 == read
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_with_all_tokens_top_k_equals_forward_kl(loader, tmp_path):
    inputs = {"teacher": "teacher:out.logits.log_probs", "index": "teacher:out.logits.index"}
    kept, _ = run(loader, cached(tmp_path / "cache", "topk-270"), TopKKLLoss(), inputs)
    whole, _ = run(loader, {}, ForwardKLLoss(), {"teacher": "teacher:out.logits"})
    for name, tensor in whole.items():
        torch.testing.assert_close(kept[name], tensor)
