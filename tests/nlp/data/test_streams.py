"""Streams of rows give the samples of a list of the same rows, and a run resumes within them bit for bit."""

from __future__ import annotations

from functools import partial

import datasets
import pytest
import torch
from torch.utils.data import IterableDataset

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_core.losses import TokenCELoss
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer
from distill_core.weights import read_weights
from distill_nlp.data import completions, conversations

from ..chat_tokenizers import chat_tokenizer, template

ROWS = {
    "conversations": [
        {"messages": [{"role": "user", "content": "so " * (n % 3 + 1)}, {"role": "assistant", "content": "yes " * n}]}
        for n in range(1, 11)
    ],
    "completions": [{"prompt": f"question {n}", "completion": "so " * (n % 5 + 1)} for n in range(10)],
}


class Rows(IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        yield from self.rows


@pytest.fixture(scope="module")
def tokenizer():
    return chat_tokenizer(chat_template=template())


def load(kind, rows, tokenizer, **options):
    given = {"tokenizer": tokenizer, "batch_size": 2, "shuffle": False, "max_length": 64} | options
    return (conversations if kind == "conversations" else completions)(rows, **given)


def streamed(rows):
    return datasets.Dataset.from_list(rows).to_iterable_dataset(num_shards=2)


@pytest.mark.parametrize("make", [Rows, streamed])
@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_gives_the_samples_of_a_list(kind, make, num_workers, tokenizer):
    expected = list(load(kind, ROWS[kind], tokenizer).batches(SeedPath()))
    found = list(load(kind, make(ROWS[kind]), tokenizer, num_workers=num_workers).batches(SeedPath()))
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_stream_for_two_tokenizers(tokenizer):
    other, rows = chat_tokenizer(adds_begin=True), ROWS["completions"]
    expected, found = (load("completions", given, tokenizer, teacher_tokenizer=other) for given in (rows, Rows(rows)))
    one, two = (next(iter(loader.batches(SeedPath()))) for loader in (expected, found))
    assert one.keys() == two.keys() > {"teacher_input_ids", "teacher_target", "teacher_mask"}
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_conversation_that_does_not_fit_is_omitted(tokenizer):
    rows = ROWS["conversations"]
    short = list(load("conversations", rows, tokenizer, max_length=24).dataset)
    found = list(load("conversations", Rows(rows), tokenizer, max_length=24).dataset)
    assert 0 < len(short) < len(rows)
    assert [each["input_ids"].tolist() for each in found] == [each["input_ids"].tolist() for each in short]


class Stop(Callback):
    def on_step_end(self, run):
        if run.state.step == 7:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ROWS)
def test_a_run_resumes_within_a_stream_bit_for_bit(kind, tokenizer, decoder, family, tmp_path):
    """It stops in the second pass, a step after a checkpoint."""

    def trainer(folder, *callbacks):
        loader = load(kind, streamed(ROWS[kind]), tokenizer)
        term = Term(loss=TokenCELoss(), inputs={"student": "student:out.logits", "target": "batch.target"})
        stage = Stage(
            steps=9, losses={"ce": term}, optimizer=partial(torch.optim.AdamW, lr=0.01),
            feed={"student": {"input_ids": "batch.input_ids"}},
        )  # fmt: skip
        experiment = Experiment(
            models={"student": decoder(family, vocab_size=300, use_cache=False)}, data={"train": loader}, stages=[stage],
            callbacks=[Checkpoint(every_steps=3)],
        )  # fmt: skip
        return Trainer(experiment, output=tmp_path / folder, callbacks=callbacks)

    trainer("complete").fit()
    with pytest.raises(KeyboardInterrupt):
        trainer("stopped", Stop()).fit()
    trainer("stopped").fit(resume=True)
    expected, found = (read_weights(tmp_path / run / "student.safetensors") for run in ("complete", "stopped"))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert not torch.equal(expected["lm_head.weight"], decoder(family, vocab_size=300).lm_head.weight)


def test_a_shuffle_buffer_behind_the_samples_is_found(tokenizer):
    loader = load("completions", streamed(ROWS["completions"]).shuffle(seed=0, buffer_size=4), tokenizer)
    assert "has a shuffle buffer" in loader.resume_problem(SeedPath())
    assert load("completions", streamed(ROWS["completions"]), tokenizer).resume_problem(SeedPath()) == ""
    without = load("completions", Rows(ROWS["completions"]), tokenizer).resume_problem(SeedPath())
    assert "has no `state_dict`" in without


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize(
    "option", [{"packed": True}, {"limit": 2}, {"split": "train"}, {"group_by_length": True}, {"shuffle": True}]
)
def test_options_that_need_all_rows_are_refused(kind, option, tokenizer):
    (name,) = option
    with pytest.raises(DataError, match=f"`{name}` needs all rows, but Rows is a stream\n  hint: omit `{name}`"):
        load(kind, Rows(ROWS[kind]), tokenizer, **option)


@pytest.mark.parametrize(
    ("kind", "item", "text"),
    [
        ("completions", 5, "an item of the stream must be a mapping of columns, got 5"),
        ("completions", {"prompt": "a"}, "an item of the stream has no column 'completion'"),
        ("completions", {"prompt": ["a"], "completion": "b"}, "an item of the stream: row 1: `prompt` must be text"),
        ("conversations", {"messages": "a"}, "an item of the stream: row 1: `messages` must be a list of messages"),
        ("conversations", {"text": "a"}, "an item of the stream has no column 'messages'"),
    ],
)
def test_items_that_are_not_rows_are_refused(kind, item, text, tokenizer):
    with pytest.raises(DataError) as caught:
        next(iter(load(kind, Rows([item]), tokenizer).batches(SeedPath())))
    assert str(caught.value).startswith(text)
