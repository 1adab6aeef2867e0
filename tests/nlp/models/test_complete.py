"""Every weight of a model comes from its folder, or the model is refused with the names."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
)

from distill_core.errors import DistillError
from distill_nlp.models import from_pretrained

CLASSES = "AutoModelForSequenceClassification"
CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=16,
)
LLAMA = LlamaConfig(
    vocab_size=30,
    hidden_size=8,
    intermediate_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    bos_token_id=1,
    eos_token_id=2,
)


@pytest.fixture
def trained(tmp_path):
    model = BertForSequenceClassification(CONFIG)
    model.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained", model


def rewrite(folder, change):
    file = folder / "model.safetensors"
    save_file(
        change({name: tensor.clone() for name, tensor in load_file(file).items()}), file, metadata={"format": "pt"}
    )


def same(model, source):
    theirs = source.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "model.module.", "student.", "model.", "ema_model.")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_wrappers_are_removed(trained, prefix):
    folder, source = trained
    rewrite(folder, lambda state: {prefix + name: tensor for name, tensor in state.items()})
    same(from_pretrained(CLASSES, folder), source)


def test_prefixes_of_a_compiled_submodule_are_removed(trained):
    folder, source = trained
    rewrite(folder, lambda state: {name.replace("encoder.", "encoder._orig_mod."): t for name, t in state.items()})
    same(from_pretrained(CLASSES, folder), source)


def test_a_folder_without_head_is_refused_with_the_names(tmp_path):
    BertModel(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(DistillError) as caught:
        from_pretrained(CLASSES, tmp_path)
    assert str(caught.value) == (
        f"the weights of {tmp_path} do not match BertForSequenceClassification:\n"
        "  classifier.bias is missing from the folder\n"
        "  classifier.weight is missing from the folder\n"
        "  hint: give the folder of a trained BertForSequenceClassification, or train a new head: new_head: true"
    )


def test_a_different_number_of_labels_is_a_new_head(trained):
    with pytest.raises(DistillError, match=r"classifier\.weight is \(2, 8\) in the folder and \(5, 8\) in the model"):
        from_pretrained(CLASSES, trained[0], num_labels=5)


@pytest.mark.parametrize("source", [BertModel, BertForPreTraining])
def test_a_new_head_is_allowed_and_logged(tmp_path, caplog, source):
    body = source(CONFIG)
    body.save_pretrained(tmp_path)
    with caplog.at_level(logging.INFO, "distill"):
        model = from_pretrained(CLASSES, tmp_path, num_labels=3, new_head=True)
    same(model.bert, body.base_model)
    (logged,) = [record.getMessage() for record in caplog.records if record.name == "distill"]
    assert "classifier.weight is missing from the folder" in logged
    assert ("cls.seq_relationship.weight is not in the model" in logged) == (source is BertForPreTraining)
    assert "bert." not in logged


BROKEN = {
    "a layer is missing": lambda state: {name: t for name, t in state.items() if ".layer.1.output" not in name},
    "a layer too many": lambda state: state | {"bert.encoder.layer.2.output.dense.bias": torch.zeros(8)},
    "names of nobody": lambda state: {f"junk.{name}": tensor for name, tensor in state.items()},
    "a wider body": lambda state: state | {"bert.embeddings.LayerNorm.bias": torch.zeros(9)},
    "another vocabulary": lambda state: state | {"bert.embeddings.word_embeddings.weight": torch.zeros(31, 8)},
}


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("auto_class", [CLASSES, "AutoModel"])
def test_the_body_must_be_complete_with_or_without_a_new_head(trained, broken, new_head, auto_class):
    rewrite(trained[0], BROKEN[broken])
    with pytest.raises(DistillError) as caught:
        from_pretrained(auto_class, trained[0], new_head=new_head)
    assert "new_head" not in str(caught.value)
    assert "the weights of" in str(caught.value)


@pytest.mark.parametrize(
    ("auto_class", "source"),
    [
        ("AutoModel", lambda: BertForSequenceClassification(CONFIG)),
        ("AutoModel", lambda: BertForPreTraining(CONFIG)),
        ("AutoModelForCausalLM", lambda: GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2))),
        ("AutoModelForCausalLM", lambda: LlamaForCausalLM(LLAMA)),
        ("AutoModel", lambda: LlamaForCausalLM(LLAMA)),
    ],
)
def test_complete_models_load_without_a_warning(tmp_path, auto_class, source):
    model = source()
    model.save_pretrained(tmp_path)
    loaded = from_pretrained(auto_class, tmp_path)
    same(loaded.base_model, model.base_model)


def test_a_language_model_without_its_head_is_refused(tmp_path):
    LlamaModel(LLAMA).save_pretrained(tmp_path)
    with pytest.raises(DistillError, match=r"lm_head\.weight is missing from the folder"):
        from_pretrained("AutoModelForCausalLM", tmp_path)


def test_shards_are_loaded_and_a_missing_one_is_named(trained):
    folder, source = trained
    (folder / "model.safetensors").unlink()
    source.save_pretrained(folder, max_shard_size="1KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    same(from_pretrained(CLASSES, folder), source)
    shard = index["weight_map"]["classifier.weight"]
    (folder / shard).unlink()
    with pytest.raises(DistillError, match=shard):
        from_pretrained(CLASSES, folder)


def test_a_damaged_file_is_refused(trained):
    file = trained[0] / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DistillError, match="are damaged"):
        from_pretrained(CLASSES, trained[0])


@pytest.mark.parametrize("config", [CONFIG, LLAMA], ids=["bert", "llama"])
def test_loading_complete_weights_logs_nothing_in_transformers(tmp_path, config):
    """Models with a plan of tensor parallelism log it if the logger of modelling has a level of its own."""
    model = BertForSequenceClassification(config) if config is CONFIG else LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("transformers").addHandler(handler)
    try:
        from_pretrained(CLASSES if config is CONFIG else "AutoModelForCausalLM", tmp_path)
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    assert [record.getMessage() for record in records] == []
