"""Models of one tokenizer whose vocabularies are padded to different sizes: losses and codecs compare the common part."""

from __future__ import annotations

import copy
import logging

import pytest
import torch

import distill_core.losses
from distill_core import losses as core
from distill_core.cache import codec_named
from distill_core.experiment import CacheSettings
from distill_core.preview import preview
from distill_core.train import Term, Trainer
from distill_nlp.data import completions, conversations, language_modelling, masked_language_modelling
from distill_nlp.generation import OnPolicy, Sampling, generate
from distill_nlp.tokenizers import byte_level

from .padded import LARGE, LOGITS, SMALL, TEXTS, assert_equal, batch_of, by_hand, experiment_of, trained_gradient

STORED = {"teacher": "teacher:out.logits.log_probs", "index": "teacher:out.logits.index"}


def distillm2(student, teacher, mask):
    return core.DistiLLM2Loss()(student, teacher, torch.arange(len(student)) % 2, mask=mask)


LOSSES = {
    "ABKDLoss": core.ABKDLoss(), "AKLLoss": core.AKLLoss(), "DistiLLM2Loss": distillm2,
    "ForwardKLLoss": core.ForwardKLLoss(2.0), "GeneralisedJSDLoss": core.GeneralisedJSDLoss(),
    "ReverseKLLoss": core.ReverseKLLoss(), "SkewedKLLoss": core.SkewedKLLoss(),
    "SkewedReverseKLLoss": core.SkewedReverseKLLoss(), "TAIDLoss": core.TAIDLoss(), "ULDLoss": core.ULDLoss(),
    "SampledReverseKLLoss": core.SampledReverseKLLoss(policy_gradient=False),
}  # fmt: skip
CODECS = {"TopKKLLoss": ("topk-8", core.TopKKLLoss()), "RSKDLoss": ("sampled-16", core.RSKDLoss())}


@pytest.fixture(scope="module")
def bpe():
    return byte_level(TEXTS, vocab_size=270)


@pytest.fixture(params=[("llama", "qwen3"), ("gemma3", "llama"), ("qwen3", "gemma3")], ids="-".join)
def models(request, decoder):
    """Return a student and a teacher with padded vocabularies. That of the student is smaller, except for Gemma's."""
    student, teacher = request.param
    sizes = (LARGE, SMALL) if student == "gemma3" else (SMALL, LARGE)
    return {"teacher": decoder(teacher, vocab_size=sizes[1]), "student": decoder(student, vocab_size=sizes[0]).train()}


def test_the_table_has_every_loss_of_tokens_with_a_teacher():
    found = {
        name for name, loss in vars(distill_core.losses).items() if getattr(loss, "reduction_scope", "") == "token"
    }
    # DSKD compares distributions of one and the same head.
    assert found - {"TokenCELoss", "DSKDLoss", "DSKDCMALoss"} == {*LOSSES, *CODECS}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_equals_that_of_logits_cut_by_hand(models, bpe, name):
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=50, block=10, shuffle=False)
    batch, loss = batch_of(loader), copy.deepcopy(LOSSES[name])
    target = {"target": "batch.target"} if name == "SampledReverseKLLoss" else {}

    def cut(student, teacher, batch):
        given = {"target": batch["target"]} if target else {}
        return copy.deepcopy(LOSSES[name])(student, teacher, **given, mask=batch["mask"])

    expected = by_hand(models, batch, cut, SMALL)
    assert_equal(trained_gradient(experiment_of(models, loader, loss, LOGITS | target)), expected)


@pytest.mark.parametrize("name", CODECS)
def test_a_sparse_codec_stores_what_it_does_of_logits_cut_by_hand(models, bpe, name, tmp_path):
    codec, loss = CODECS[name]
    rows = [{"prompt": text[:8], "completion": text[8:]} for text in TEXTS]
    loader = completions(rows, tokenizer=bpe, batch_size=50, max_length=32, pad_to=32, shuffle=False)
    batch = batch_of(loader)

    def stored(student, teacher, batch):
        encoder = codec_named(codec)
        parts = encoder.encode(teacher, torch.arange(len(teacher)) * 1024)
        values = encoder.decode(parts, torch.float32)
        first = "log_probs" if codec.startswith("topk") else "weights"
        return loss(student, values[first], values["index"], batch["mask"])

    expected = by_hand(models, batch, stored, SMALL)
    first = "log_probs" if codec.startswith("topk") else "weights"
    inputs = LOGITS | {"teacher": f"teacher:out.logits.{first}", "index": "teacher:out.logits.index"}
    cache = {"teacher": CacheSettings(folder=str(tmp_path / "cache"), codec=codec, views=1)}
    again = copy.deepcopy(models)
    assert_equal(trained_gradient(experiment_of(models, loader, loss, inputs, cache)), expected)
    again["teacher"].forward = None  # the second run reads the cache
    assert_equal(trained_gradient(experiment_of(again, loader, loss, inputs, cache)), expected)


@pytest.mark.parametrize("codec", ["float32", "float16", "int8"])
def test_a_dense_codec_stores_the_common_part(models, bpe, codec, tmp_path):
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=50, block=10, shuffle=False)
    batch = batch_of(loader)

    def stored(student, teacher, batch):
        values = codec_named(codec).decode(codec_named(codec).encode(teacher, torch.zeros(len(teacher))), torch.float32)
        return core.ForwardKLLoss()(student, values, batch["mask"])

    expected = by_hand(models, batch, stored, SMALL)
    cache = {"teacher": CacheSettings(folder=str(tmp_path / "cache"), codec=codec, views=1)}
    assert_equal(trained_gradient(experiment_of(models, loader, core.ForwardKLLoss(), LOGITS, cache)), expected)


def test_a_cross_entropy_of_the_student_sees_all_logits(decoder, bpe):
    models = {"teacher": decoder("qwen3", vocab_size=SMALL), "student": decoder("llama", vocab_size=LARGE).train()}
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=50, block=10, shuffle=False)
    inputs = {"student": "student:out.logits", "target": "batch.target"}
    extra = {"ce": Term(loss=core.TokenCELoss(), inputs=inputs)}

    cut = copy.deepcopy(models)
    batch = batch_of(loader)
    logits = cut["student"](batch["input_ids"]).logits
    with torch.no_grad():
        theirs = cut["teacher"](batch["input_ids"]).logits
    kd = core.ForwardKLLoss()(logits[..., :SMALL], theirs, batch["mask"])
    (kd + torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["target"].flatten())).backward()
    expected = {name: parameter.grad for name, parameter in cut["student"].named_parameters()}
    experiment = experiment_of(models, loader, core.ForwardKLLoss(), extra=extra)
    assert_equal(trained_gradient(experiment), expected)


def test_it_is_said_once(models, bpe, caplog):
    caplog.set_level(logging.INFO, "distill")
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=3, block=10)
    experiment = experiment_of(models, loader, core.ForwardKLLoss())
    sizes = {name: model.config.vocab_size for name, model in models.items()}
    expected = (
        f"the losses compare the first 272 logits, over which they normalise: the models have {sizes['student']} of "
        f"'student' and {sizes['teacher']} of 'teacher', padded from the 270 tokens of one tokenizer"
    )
    (stage,) = preview(experiment).stages
    assert expected in [str(note) for note in stage.notes]
    Trainer(experiment).fit()
    assert caplog.text.count("over which they normalise") == 1
    assert expected in caplog.text


def test_models_of_equal_size_are_not_cut(decoder, bpe, caplog):
    models = {"teacher": decoder("qwen3", vocab_size=LARGE), "student": decoder("llama", vocab_size=LARGE)}
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=3, block=10)
    assert preview(experiment_of(models, loader, core.ForwardKLLoss())).stages[0].notes == ()


def test_padding_of_the_vocabulary_is_not_sampled(decoder, bpe):
    student = decoder("llama", vocab_size=LARGE, use_cache=True).train()
    with torch.no_grad():
        student.lm_head.weight[len(bpe) :] *= 50
    prompts = torch.randint(1, 200, (16, 4))
    batch = {"input_ids": prompts, "target": prompts, "mask": torch.ones_like(prompts, dtype=torch.bool)}
    made = OnPolicy(student, bpe, fraction=1.0, prompt_tokens=2, max_new_tokens=8)(**batch)
    assert made["input_ids"].max() < len(bpe)
    lengths = torch.full((16,), 2)
    free, _ = generate(student, prompts, lengths, Sampling(max_new_tokens=8))
    assert free.max() >= len(bpe)


def test_a_model_that_another_feeds_has_the_only_tokenizer(decoder, bpe):
    models = {"teacher": decoder("qwen3", vocab_size=LARGE), "student": decoder("llama", vocab_size=SMALL).train()}
    rollout = OnPolicy(models["student"], bpe, fraction=1.0, prompt_tokens=3, max_new_tokens=4)
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=3, block=10)
    inputs = LOGITS | {"mask": "rollout:out.mask"}
    experiment = experiment_of({"rollout": rollout, **models}, loader, core.ReverseKLLoss(), inputs)
    experiment.stages[0].feed.update(
        rollout={name: f"batch.{name}" for name in ("input_ids", "target", "mask")},
        teacher={"input_ids": "rollout:out.input_ids"},
        student={"input_ids": "rollout:out.input_ids"},
    )
    Trainer(experiment).fit()


def test_other_datasets_know_their_tokenizer(bpe, decoder, tokenizer):
    model = decoder("llama", vocab_size=SMALL)
    bpe.chat_template = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    rows = [{"messages": [{"role": "assistant", "content": text}]} for text in TEXTS]
    given = {"tokenizer": bpe, "batch_size": 2}
    found = [
        conversations(rows, **given).dataset.vocabulary_of(model, {}),
        language_modelling(TEXTS, "all", packed=False, **given).dataset.vocabulary_of(model, {}),
        language_modelling.vocabulary_of((TEXTS, "all"), given, model, {}),
        conversations.vocabulary_of((rows,), given, model, {}),
        completions.vocabulary_of((rows,), given, model, {}),
    ]
    assert {(each.num_tokens, each.num_outputs, each.outputs) for each in found} == {
        (270, SMALL, (":out.logits", "lm_head"))
    }
    assert len({each.digest for each in found}) == 1
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.mask_token = "[UNK]"
    masked = masked_language_modelling(["a text"], tokenizer=tokenizer, batch_size=1)
    assert masked.dataset.vocabulary_of(model, {}).num_tokens == len(tokenizer)
    assert completions.vocabulary_of((rows,), given | {"teacher_tokenizer": tokenizer}, model, {}) is None
