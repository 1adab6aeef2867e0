"""Decoders and tokenizers without a padding token, as classifiers, as language models and in saved folders."""

from __future__ import annotations

import pytest
import torch
import transformers
from click.testing import CliRunner
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from distill_core.cli._app import app
from distill_core.data import Loader, TensorData
from distill_core.errors import DataError, DistillError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_nlp.data import completions, find_tokenizer, text_classification
from distill_nlp.models import SavePretrained, from_pretrained
from distill_nlp.tokenizers import byte_level

CLASSES = "AutoModelForSequenceClassification"
TEXTS = ["a girl is styling her hair", "the film", "a man plays a large flute, the old one", "no"]
SMALL = {"vocab_size": 300, "max_position_embeddings": 64, "hidden_size": 16, "num_attention_heads": 2}
DECODERS = {
    "gpt2": transformers.GPT2Config(vocab_size=300, n_embd=16, n_layer=1, n_head=2, n_positions=64),
    "llama": transformers.LlamaConfig(**SMALL, num_hidden_layers=1, intermediate_size=16, num_key_value_heads=1),
    "qwen2": transformers.Qwen2Config(**SMALL, num_hidden_layers=1, intermediate_size=16, num_key_value_heads=1),
}


def bare_tokenizer(side):
    core = byte_level(TEXTS * 2, vocab_size=290).backend_tokenizer
    names = {"eos_token": "<|endoftext|>", "model_input_names": ["input_ids", "attention_mask"]}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, padding_side=side, **names)


@pytest.fixture
def bare():
    """Return a tokenizer with an end token and without a padding token."""
    return bare_tokenizer("right")


@pytest.fixture(params=DECODERS)
def kind(request):
    return request.param


def saved(kind, folder, factory=AutoModelForSequenceClassification):
    torch.manual_seed(0)
    config = AutoConfig.for_model(**{**DECODERS[kind].to_dict(), "num_labels": 3})
    factory.from_config(config).save_pretrained(folder)
    return folder


# GPT-2's learned positions start at the padding, so it is padded on the right only.
SIDES = [(kind, side) for kind in DECODERS for side in ("right", "left") if (kind, side) != ("gpt2", "left")]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("kind", "side"), SIDES)
def test_a_text_has_the_same_logits_alone_and_padded(kind, table, tmp_path, given, side):
    folder = saved(kind, tmp_path / "model")
    bare = bare_tokenizer(side)
    if not given:
        bare.save_pretrained(folder)
    tokenizer = bare if given else str(folder)
    file = table("sentence\tlabel\n" + "".join(f"{text}\t0\n" for text in TEXTS))
    (batch,) = text_classification(file, tokenizer=tokenizer, batch_size=4)
    model = from_pretrained(CLASSES, folder, tokenizer=bare if given else None).eval()
    fields = {name: batch[name] for name in ("input_ids", "attention_mask")}
    assert (batch["attention_mask"][:, 0 if side == "left" else -1] == 0).any()
    together = model(**fields).logits
    for row, text in enumerate(TEXTS):
        alone = model(input_ids=torch.tensor([bare(text).input_ids])).logits[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factory", [AutoModelForSequenceClassification, AutoModelForCausalLM])
def test_a_saved_model_has_a_padding_token_for_transformers(kind, bare, tmp_path, factory):
    student = factory.from_pretrained(saved(kind, tmp_path / "model", factory))
    loss = torch.nn.CrossEntropyLoss() if factory is AutoModelForSequenceClassification else torch.nn.MSELoss()
    target = torch.zeros(2, dtype=torch.long) if isinstance(loss, torch.nn.CrossEntropyLoss) else torch.zeros(2, 4, 300)
    term = Term(loss=loss, inputs={"input": "student:out.logits", "target": "batch.target"})
    stage = Stage(
        epochs=1,
        losses={"one": term},
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1),
        feed={"student": {"input_ids": "batch.input_ids"}},
    )
    data = Loader(TensorData({"input_ids": torch.randint(5, 280, (2, 4)), "target": target}), 2)
    callback = SavePretrained(bare)
    Trainer(
        Experiment(models={"student": student}, data={"train": data}, stages=[stage], callbacks=[callback]),
        output=tmp_path / "run",
    ).fit()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "student")
    again = factory.from_pretrained(tmp_path / "run" / "student").eval()
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"
    assert again.config.pad_token_id == tokenizer.pad_token_id
    assert again(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.shape[0] == len(TEXTS)
    if factory is AutoModelForCausalLM:
        assert again.generation_config.pad_token_id == tokenizer.pad_token_id


def test_the_end_token_of_a_text_is_a_target_although_it_pads(bare, table):
    file = table(
        '{"prompt": "a girl", "completion": " is"}\n{"prompt": "the", "completion": " film the film"}\n', "a.jsonl"
    )
    (batch,) = completions(file, tokenizer=bare, batch_size=2, shuffle=False)
    end = bare.eos_token_id
    for row, completion in enumerate([" is", " film the film"]):
        counted = batch["target"][row][batch["mask"][row]].tolist()
        assert counted == [*bare(completion).input_ids, end]
    assert (batch["input_ids"][~batch["mask"] & (batch["target"] == -100)] == end).any()


def test_a_tokenizer_without_an_end_is_refused(bare):
    bare.eos_token = None
    with pytest.raises(DataError, match=r"has neither a padding token nor an end token\n  hint: set its pad_token$"):
        find_tokenizer(bare)


EXPERIMENT = """
_model: &model FOLDER
models:
  student: !import_call:distill_nlp.models.from_pretrained
    {auto_class: AutoModelForSequenceClassification, name_or_path: *model}
data:
  train: &data !import_call:distill_nlp.data.text_classification {file: FILE, tokenizer: *model, batch_size: 4}
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.0}
    feed: {student: {input_ids: batch.input_ids, attention_mask: batch.attention_mask}}
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student:out.logits, target: batch.target}}
callbacks:
  - !import_call:distill_nlp.models.SavePretrained {tokenizer: *model}
"""


def test_an_experiment_need_not_configure_padding(kind, bare, table, tmp_path):
    folder = saved(kind, tmp_path / "model")
    bare.save_pretrained(folder)
    file = table("sentence\tlabel\n" + "".join(f"{text}\t{row % 2}\n" for row, text in enumerate(TEXTS)))
    experiment = tmp_path / "a.yaml"
    experiment.write_text(EXPERIMENT.replace("FOLDER", str(folder)).replace("FILE", str(file)))
    for command in (["check", str(experiment), "--deep"], ["run", str(experiment), "--output", str(tmp_path / "run")]):
        ended = CliRunner().invoke(app, command)
        assert ended.exit_code == 0, ended.output
    student = tmp_path / "run" / "student"
    fields = AutoTokenizer.from_pretrained(student)(TEXTS, padding=True, return_tensors="pt")
    before = from_pretrained(CLASSES, folder).eval()(**fields).logits
    torch.testing.assert_close(
        AutoModelForSequenceClassification.from_pretrained(student).eval()(**fields).logits, before
    )


def test_an_empty_text_has_no_last_token(bare, table):
    file = table("sentence\tlabel\nthe film\t0\n\t1\n")
    with pytest.raises(DataError, match=r"^text 2 of 2 has no tokens: \[''\]\n  hint: remove empty texts$"):
        text_classification(file, tokenizer=bare, batch_size=2)


def refused(action):
    with pytest.raises(DistillError) as caught:
        action()
    return str(caught.value)


def test_mismatched_models_and_tokenizers_are_refused(bare, tmp_path):
    config = transformers.GPT2Config(vocab_size=60, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    folder = tmp_path / "model"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    assert refused(lambda: from_pretrained(CLASSES, folder)) == (
        f"GPT2ForSequenceClassification of '{folder}' has no padding token, and its folder has no tokenizer\n"
        "  hint: set `tokenizer` to the tokenizer of the data"
    )
    assert refused(lambda: from_pretrained(CLASSES, folder, tokenizer=bare)) == (
        f"the tokenizer has {len(bare)} tokens, but GPT2ForSequenceClassification has 60\n"
        "  hint: use the model's own tokenizer"
    )
    assert refused(lambda: find_tokenizer(str(folder))) == (
        f"{folder} has no tokenizer\n  hint: give a folder that a tokenizer's save_pretrained wrote"
    )
    roberta = transformers.RobertaConfig(**SMALL, num_hidden_layers=1, intermediate_size=16)
    AutoModelForSequenceClassification.from_config(roberta).save_pretrained(folder)
    assert refused(lambda: from_pretrained(CLASSES, folder, tokenizer=bare)) == (
        "the tokenizer pads with token 0, but RobertaForSequenceClassification counts its positions from padding token 1\n"
        "  hint: use the model's own tokenizer"
    )
