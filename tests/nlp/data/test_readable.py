"""Models that cannot read the data are refused before training: by a run and by `check --deep`."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from click.testing import CliRunner
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from distill_core.cli._app import app
from distill_core.errors import DataError
from distill_core.experiment import Evaluation, Experiment, Metric, Stage, Term
from distill_core.train import Callback, Evaluate, Trainer
from distill_nlp._positions import num_positions
from distill_nlp.data import (
    completions,
    language_modelling,
    masked_language_modelling,
    text_classification,
    token_classification,
)
from distill_nlp.metrics import Accuracy
from distill_nlp.tokenizers import byte_level, wordpiece

SHORT, LONG = "a girl sings", " ".join(["a girl sings"] * 12)
SMALL = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
CONFIGS = {
    "bert": (transformers.BertConfig(**SMALL, max_position_embeddings=16), 16),
    "distilbert": (transformers.DistilBertConfig(vocab_size=300, dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=16), 16),
    "roberta": (transformers.RobertaConfig(**SMALL, max_position_embeddings=16, pad_token_id=0), 15),
    "gpt2": (transformers.GPT2Config(vocab_size=300, n_embd=16, n_layer=1, n_head=2, n_positions=16, pad_token_id=0), 16),
    "opt": (transformers.OPTConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16, word_embed_proj_dim=16, max_position_embeddings=16, pad_token_id=0), 16),
}  # fmt: skip
FEED = {"student": {"input_ids": "batch.input_ids", "attention_mask": "batch.attention_mask"}}
LOGITS = {"preds": "student:out.logits", "target": "batch.target"}


@pytest.fixture
def pieces():
    return wordpiece([SHORT] * 2, vocab_size=60)


@pytest.fixture
def bpe():
    return byte_level([SHORT] * 2, vocab_size=290)


@pytest.fixture
def texts(tmp_path, pieces):
    def read(text, name="a", **options):
        path = tmp_path / f"{name}.tsv"
        path.write_text(f"sentence\tlabel\n{text}\t0\n{SHORT}\t1\n")
        return text_classification(path, tokenizer=pieces, batch_size=2, **options)

    return read


class NotReachedError(Exception):
    pass


class Stop(Callback):
    """End a run where training begins."""

    def on_fit_start(self, trainer):
        raise NotReachedError


def run(model, train, feed=FEED, evaluated=None, tested=None, taps=("student:out.logits",)):
    loss = {"ce": Term(loss=torch.nn.CrossEntropyLoss(), inputs={"input": taps[0], "target": "batch.target"})}
    stage = Stage(epochs=1, losses=loss, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1), feed=feed)
    metrics = {"accuracy": Metric(metric=Accuracy(), inputs=LOGITS)}
    callbacks = [Stop()] if evaluated is None else [Evaluate(evaluated, metrics), Stop()]
    test = None if tested is None else Evaluation(loader=tested, metrics=metrics)
    Trainer(
        Experiment(models={"student": model}, data={"train": train}, stages=[stage], callbacks=callbacks, test=test)
    ).fit()


def sequence(kind):
    return AutoModelForSequenceClassification.from_config(copy.deepcopy(CONFIGS[kind][0])).eval()


@pytest.mark.parametrize("kind", CONFIGS)
def test_num_positions_is_the_maximum_number_of_tokens(kind):
    model, most = sequence(kind), CONFIGS[kind][1]
    assert num_positions(model) == most
    tokens = torch.full((1, most), 5)
    assert model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits.shape == (1, 2)
    tokens = torch.full((1, most + 1), 5)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=tokens, attention_mask=torch.ones_like(tokens))


def test_models_without_learned_positions_use_their_configuration():
    llama = transformers.LlamaConfig(**SMALL, max_position_embeddings=32)
    assert num_positions(AutoModelForCausalLM.from_config(llama)) == 32
    assert num_positions(torch.nn.Linear(1, 1)) is None
    bloom = transformers.BloomConfig(vocab_size=300, hidden_size=16, n_layer=1, n_head=2)
    assert num_positions(AutoModelForCausalLM.from_config(bloom)) is None


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "gpt2", "opt"])
@pytest.mark.parametrize("where", ["train", "evaluated", "tested"])
def test_texts_longer_than_the_positions_are_refused_before_training(texts, kind, where):
    model, most = sequence(kind), CONFIGS[kind][1]
    long, fitting = texts(LONG), texts(LONG, "b", max_length=most)
    loaders = {"train": fitting} | {where: long}
    with pytest.raises(DataError) as caught:
        run(model, **loaders)
    length = len(long.dataset[0]["input_ids"])
    assert length > most
    assert str(caught.value) == (
        f"student ({type(model).__name__}) cannot read batch.input_ids: texts have up to {length} tokens, but the model "
        f"has {most} positions\n  hint: set the `max_length` (or `block`) of the data to at most {most}"
    )
    with pytest.raises(NotReachedError):
        run(model, fitting, evaluated=fitting, tested=fitting)


@pytest.mark.parametrize("packed", [True, False])
def test_blocks_and_masked_texts_are_checked_too(bpe, pieces, tmp_path, packed):
    gpt2 = AutoModelForCausalLM.from_config(CONFIGS["gpt2"][0])
    feed = {"student": {"input_ids": "batch.input_ids"}}
    for block in (16, 17):
        data = language_modelling([LONG] * 4, "all", tokenizer=bpe, batch_size=2, block=block, packed=packed)
        with pytest.raises(NotReachedError if block == 16 else DataError):
            run(gpt2, data, feed)
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"prompt": "{SHORT}", "completion": "{LONG}"}}\n')
    for options, error in (
        ({"max_length": 16}, NotReachedError),
        ({}, DataError),
        ({"max_length": 16, "pad_to": 20}, DataError),
    ):
        with pytest.raises(error):
            run(gpt2, completions(file, tokenizer=bpe, batch_size=1, **options), feed)
    bert = AutoModelForMaskedLM.from_config(CONFIGS["bert"][0])
    with pytest.raises(DataError):
        run(bert, masked_language_modelling([LONG], tokenizer=pieces, batch_size=1))


def test_a_teacher_is_checked_with_its_own_tokens(tmp_path, bpe, pieces):
    from distill_nlp.data import EncodedTexts

    data = EncodedTexts([[LONG, SHORT]], [0, 1], pieces, 16, others={"teacher": bpe})
    assert len(data[0]["teacher_input_ids"]) == 16
    teacher = AutoModelForSequenceClassification.from_config(
        transformers.BertConfig(**SMALL, max_position_embeddings=15)
    )
    with pytest.raises(DataError, match=r"^teacher \(.*\) cannot read batch.teacher_input_ids: texts have up to 16"):
        data.check_model("teacher", teacher, {"input_ids": "teacher_input_ids"})
    data.check_model("student", torch.nn.Linear(1, 1), {"input_ids": "input_ids"})
    data.check_model("student", teacher, {"input_ids": "other"})


def test_padding_that_a_model_would_read_as_text_is_refused(texts, pieces):
    model = sequence("gpt2")
    with pytest.raises(NotReachedError):
        run(model, texts(SHORT))
    pieces.padding_side = "left"
    with pytest.raises(DataError, match=r"pads on the left, but the model counts positions from the left end of a row"):
        run(model, texts(SHORT))
    pieces.padding_side = "right"
    model.config.pad_token_id = 7
    with pytest.raises(DataError, match=r"texts are padded with token 0, but the model's pad_token_id is 7\n  hint: "):
        run(model, texts(SHORT))
    roberta = transformers.RobertaConfig(**SMALL, max_position_embeddings=64, pad_token_id=1)
    with pytest.raises(DataError, match=r"token 0, but the model counts positions from token 1\n  hint: "):
        run(AutoModelForSequenceClassification.from_config(roberta), texts(SHORT))
    bert = sequence("bert")
    bert.config.pad_token_id = 7  # it does not read the padding token
    with pytest.raises(NotReachedError):
        run(bert, texts(SHORT))


@pytest.mark.parametrize("length", [2, 1, 0, -1])
def test_a_length_without_room_for_text_is_refused(texts, pieces, bpe, tmp_path, length):
    with pytest.raises(DataError, match=rf"^`max_length` must be > 2, the number of special tokens, got {length}$"):
        texts(SHORT, max_length=length)
    (tmp_path / "a.conll").write_text("girl O\n")
    with pytest.raises(DataError, match=rf"^`max_length` must be > 2, the number of special tokens, got {length}$"):
        token_classification(tmp_path / "a.conll", tokenizer=pieces, batch_size=1, max_length=length)
    if length < 1:
        with pytest.raises(DataError, match=rf"^`block` must be >= 1, got {length}$"):
            language_modelling([SHORT], "all", tokenizer=bpe, batch_size=1, block=length)
        with pytest.raises(DataError, match=rf"^`block` must be >= 1, got {length}$"):
            language_modelling([SHORT], "all", tokenizer=bpe, batch_size=1, block=length, packed=False)
        with pytest.raises(DataError, match=rf"^`max_length` must be >= 1, got {length}$"):
            completions("a.jsonl", tokenizer=bpe, batch_size=1, max_length=length)


def resized(tokens, kind=AutoModelForSequenceClassification, name="bert"):
    config = copy.deepcopy(CONFIGS[name][0])
    config.vocab_size = tokens
    return kind.from_config(config)


def test_tokens_without_an_embedding_are_refused_before_training(texts, pieces, bpe, tmp_path):
    """Test the boundary: a model needs an embedding for the greatest token of the data."""
    (tmp_path / "a.conll").write_text("girl O\nsings X\n")
    (tmp_path / "a.jsonl").write_text(f'{{"prompt": "{SHORT}", "completion": "{SHORT}"}}\n')
    causal = {"input_ids": "batch.input_ids"}
    for data, kind, name, feed in (
        (texts(SHORT), AutoModelForSequenceClassification, "bert", FEED["student"]),
        (texts(SHORT), AutoModelForSequenceClassification, "distilbert", FEED["student"]),
        (token_classification(tmp_path / "a.conll", tokenizer=pieces, batch_size=1), AutoModelForTokenClassification, "bert", FEED["student"]),
        (completions(tmp_path / "a.jsonl", tokenizer=bpe, batch_size=1), AutoModelForCausalLM, "gpt2", causal),
        (language_modelling([LONG] * 4, "all", tokenizer=bpe, batch_size=2, block=8), AutoModelForCausalLM, "gpt2", causal),
        (language_modelling([LONG] * 4, "all", tokenizer=bpe, batch_size=2, block=8, packed=False), AutoModelForCausalLM, "gpt2", causal),
    ):  # fmt: skip
        greatest = max(int(batch["input_ids"].max()) for batch in data)
        with pytest.raises(NotReachedError):
            run(resized(greatest + 1, kind, name), data, {"student": feed})
        with pytest.raises(DataError) as caught:
            run(resized(greatest, kind, name), data, {"student": feed})
        assert (
            f"cannot read batch.input_ids: the tokens of the texts go up to {greatest}, but the model has embeddings for 0 "
            f"to {greatest - 1}\n  hint: "
        ) in str(caught.value)


def test_replacement_tokens_need_an_embedding(pieces):
    data = masked_language_modelling([SHORT], tokenizer=pieces, batch_size=1)
    with pytest.raises(NotReachedError):
        run(resized(len(pieces), AutoModelForMaskedLM), data)
    with pytest.raises(DataError, match=f"the tokens of the texts go up to {len(pieces) - 1}"):
        run(resized(len(pieces) - 1, AutoModelForMaskedLM), data)


FILE = """
models:
  student: !import_call:distill_nlp.models.tiny_bert {vocab_size: 60, layers: 1, width: 8, heads: 1, max_length: 32}
data:
  train: !import_call:distill_nlp.data.text_classification {file: nowhere.tsv, tokenizer: TOKENIZER, batch_size: 4, max_length: LENGTH}
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    feed: {student: {input_ids: batch.input_ids, attention_mask: batch.attention_mask}}
    losses:
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student:out.logits, target: batch.target}}
"""


@pytest.mark.parametrize("length", [32, 33])
def test_check_deep_notes_that_texts_may_be_too_long(pieces, tmp_path, length):
    pieces.save_pretrained(tmp_path / "tokenizer")
    file = tmp_path / "a.yaml"
    file.write_text(FILE.replace("TOKENIZER", str(tmp_path / "tokenizer")).replace("LENGTH", str(length)))
    ended = CliRunner().invoke(app, ["check", str(file), "--deep"])
    note = (
        "  note    student (BertForSequenceClassification) cannot read batch.input_ids if the texts reach the limits: "
        "texts have up to 33 tokens, but the model has 32 positions\n"
    )
    assert ended.exit_code == 0, ended.output
    assert (note in ended.stdout) == (length == 33), ended.output


def test_check_deep_refuses_faults_of_every_text(pieces, tmp_path):
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[SEP]", "padding_side": "left"}
    left = transformers.PreTrainedTokenizerFast(tokenizer_object=pieces.backend_tokenizer, **names)
    left.save_pretrained(tmp_path / "tokenizer")
    file = tmp_path / "a.yaml"
    file.write_text(FILE.replace("TOKENIZER", str(tmp_path / "tokenizer")).replace("LENGTH", "32"))
    ended = CliRunner().invoke(app, ["check", str(file), "--deep"])
    assert ended.exit_code != 0
    assert "the tokenizer pads on the left, but the model counts positions from the left end" in ended.stderr
    text = file.read_text().replace("text_classification {file: nowhere.tsv", "language_modelling {documents: nowhere")
    file.write_text(text.replace("max_length: 32}\nstages", "block: 33}\nstages"))
    ended = CliRunner().invoke(app, ["check", str(file), "--deep"])
    assert "texts have up to 33 tokens, but the model has 32 positions" in ended.stderr
