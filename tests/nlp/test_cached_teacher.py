"""Top-k outputs of a language model from a cache: the second run does not call the teacher and ends with the same bits."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from distill_core.cache import codec_named
from distill_core.data import Loader
from distill_core.experiment import CacheSettings
from distill_core.losses import ForwardKLLoss, TopKKLLoss
from distill_core.preview import build_caches, verify_caches
from distill_core.train import Experiment, Stage, Term, Trainer
from distill_core.train.teachers import CachedSource
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


def experiment_of(loader, cache, loss, inputs, teacher=None):
    torch.manual_seed(0)
    other, student = (tiny_gpt2(vocab_size=270, layers=1, width=width, heads=2, max_length=32) for width in (16, 8))
    teacher = teacher or other
    kd = Term(loss=loss, inputs={"student": "student:out.logits", "mask": "batch.mask"} | inputs)
    stage = Stage(
        epochs=2,
        losses={"kd": kd},
        optimizer=partial(torch.optim.SGD, lr=0.1),
        feed={name: {"input_ids": "batch.input_ids"} for name in ("teacher", "student")},
    )
    return Experiment(
        models={"teacher": teacher, "student": student}, data={"train": loader}, stages=[stage], cache=cache
    )


def run(loader, cache, loss, inputs):
    experiment = experiment_of(loader, cache, loss, inputs)
    teacher, student = (experiment.models[name] for name in ("teacher", "student"))
    calls = []
    teacher.register_forward_pre_hook(lambda *_: calls.append(1))
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


@pytest.mark.parametrize("codec", ["float16", "int8", "topk-8", "topk-270"])
def test_verify_compares_the_tokens(loader, tmp_path, codec, decoder, family):
    cache, teacher = cached(tmp_path / "cache", codec), decoder(family, vocab_size=270, use_cache=False)
    experiment = experiment_of(loader, cache, ForwardKLLoss(), {"teacher": "teacher:out.logits"}, teacher)
    if codec.startswith("topk"):
        inputs = {"teacher": "teacher:out.logits.log_probs", "index": "teacher:out.logits.index"}
        experiment = experiment_of(loader, cache, TopKKLLoss(), inputs, teacher)
    build_caches(Trainer(experiment), lambda _line: None)
    (found,) = verify_caches(Trainer(experiment), 7)
    assert found.samples == min(7, len(loader.dataset))
    (found,) = verify_caches(Trainer(experiment), len(loader.dataset))
    divergence, agreement = by_hand(teacher, batch_of(loader), codec)
    assert found.agreement == pytest.approx(agreement, abs=0.01)
    assert found.divergence == pytest.approx(divergence, rel=1e-2, abs=1e-6)


def batch_of(loader):
    return next(iter(Loader(loader.dataset, len(loader.dataset), collate=getattr(loader.dataset, "collate", None))))


@torch.no_grad()
def by_hand(teacher, batch, name):
    """Return KL and agreement of a teacher's logits and what a codec keeps of them; top-k keeps the greatest."""
    live, codec = teacher(batch["input_ids"]).logits, codec_named(name)
    if name.startswith("topk"):
        return 0.0, 1.0
    read = codec.decode(codec.encode(live, torch.zeros(len(live), dtype=torch.long)), live.dtype)
    own, other = live.double().log_softmax(-1), read.double().log_softmax(-1)
    return float((own.exp() * (own - other)).sum(-1).mean()), float(
        (live.argmax(-1) == read.argmax(-1)).double().mean()
    )


def test_verify_measures_another_teacher(loader, tmp_path):
    """Compare KL and agreement with plain loops over tokens."""
    cache = cached(tmp_path / "cache", "float32")
    experiment = experiment_of(loader, cache, ForwardKLLoss(), {"teacher": "teacher:out.logits"})
    build_caches(Trainer(experiment), lambda _line: None)
    teacher = experiment.models["teacher"]
    batch = batch_of(loader)
    with torch.no_grad():
        before = teacher(batch["input_ids"]).logits
    trainer = Trainer(experiment)
    real = CachedSource.read

    def shifted(self, view, rows, batch):
        values = real(self, view, rows, batch)
        return {tap: value.roll(1, -1) for tap, value in values.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CachedSource, "read", shifted)
        (found,) = verify_caches(trainer, len(loader.dataset))
    live, wrong = before.double().log_softmax(-1), before.roll(1, -1).double().log_softmax(-1)
    expected = torch.nn.functional.kl_div(wrong, live, reduction="none", log_target=True).sum(-1).mean()
    assert found.divergence == pytest.approx(float(expected), rel=1e-5)
    assert found.agreement == float((live.argmax(-1) == wrong.argmax(-1)).double().mean())
    assert found.samples == len(loader.dataset)
