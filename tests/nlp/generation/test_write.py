"""A dataset of teacher completions: in order, seeded, unchanged by an interruption."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import completions, read_table
from distill_nlp.generation import Sampling, write_completions
from distill_nlp.models import tiny_gpt2
from distill_nlp.tokenizers import byte_level

from ..chat_tokenizers import BEGINS, chat_tokenizer, template

PROMPTS = [f"{word} comes before" for word in "one two three four five six seven".split()]


@pytest.fixture(scope="module")
def bpe():
    return byte_level(PROMPTS, vocab_size=280)


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(3)
    return tiny_gpt2(vocab_size=280, layers=1, width=16, heads=2, max_length=64)


def write(teacher, bpe, path, **options):
    given = {"sampling": Sampling(max_new_tokens=5), "batch_size": 2, "seed": 1} | options
    return write_completions(teacher, PROMPTS, path, tokenizer=bpe, **given).read_bytes()


def test_prompts_keep_their_order_and_the_file_is_a_dataset(teacher, bpe, tmp_path):
    content = write(teacher, bpe, tmp_path / "a.jsonl", samples=2)
    rows = [json.loads(line) for line in content.decode().splitlines()]
    assert [row["prompt"] for row in rows] == [prompt for prompt in PROMPTS for _ in range(2)]
    assert len({row["completion"] for row in rows}) > 7
    batch = next(iter(completions(tmp_path / "a.jsonl", tokenizer=bpe, batch_size=4, max_length=64)))
    assert batch["mask"].any(1).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_greedy_completions_do_not_depend_on_the_batch(teacher, bpe, tmp_path):
    greedy = Sampling(max_new_tokens=5, temperature=0.0)
    first, second = (
        write(teacher, bpe, tmp_path / f"{size}.jsonl", sampling=greedy, batch_size=size) for size in (1, 7)
    )
    assert first == second
    assert write(teacher, bpe, tmp_path / "b.jsonl", seed=2) != write(teacher, bpe, tmp_path / "c.jsonl")


def test_any_prompt_is_read_back_unchanged(teacher, bpe, tmp_path):
    prompts = [f"one{mark}two" for mark in '\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\n\0\ufeff\xa0\t"']
    path = write_completions(teacher, prompts, tmp_path / "a.jsonl", tokenizer=bpe, sampling=Sampling(max_new_tokens=3))
    assert read_table(path)["prompt"] == prompts
    again = write_completions(teacher, path, tmp_path / "b.jsonl", tokenizer=bpe, sampling=Sampling(max_new_tokens=3))
    assert read_table(again)["prompt"] == prompts
    with pytest.raises(DataError, match=r"^`prompts` must be texts, got half a surrogate pair: '.ud800' at index 0$"):
        write_completions(teacher, ["\ud800"], tmp_path / "c.jsonl", tokenizer=bpe)


def test_tokens_and_ends_are_those_that_the_model_wrote(decoder, family, bpe, tmp_path):
    torch.manual_seed(3)
    teacher = decoder(family, vocab_size=280, eos_token_id=bpe.eos_token_id)
    sampling = Sampling(max_new_tokens=12, temperature=3.0)
    path = write_completions(teacher, PROMPTS, tmp_path / "a.jsonl", tokenizer=bpe, sampling=sampling, samples=30)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    ended = [row["ended"] for row in rows]
    assert 0 < sum(ended) < len(rows)
    for row in rows:
        tokens = row["completion_ids"]
        assert (tokens[-1] == bpe.eos_token_id) is row["ended"]
        assert bpe.eos_token_id not in tokens[:-1]
        assert row["ended"] or len(tokens) == 12
        assert bpe.decode(tokens, skip_special_tokens=True) == row["completion"]
    data = completions(path, tokenizer=bpe, batch_size=4, max_length=64).dataset
    assert [sample["target"][sample["target"] != -100].tolist() for sample in data] == [
        row["completion_ids"] for row in rows
    ]


@pytest.mark.parametrize(("adds", "writes"), BEGINS)
def test_greedy_tokens_equal_those_of_transformers_for_templated_prompts(tmp_path, adds, writes, decoder, family):
    tokenizer = chat_tokenizer(adds_begin=adds, chat_template=template(begin=writes))
    model = decoder(family, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    chats = [[{"role": "user", "content": text}] for text in ("the capital", "of France is", "Paris")]
    texts = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    greedy = Sampling(max_new_tokens=8, temperature=0.0)
    path = write_completions(model, texts, tmp_path / "a.jsonl", tokenizer=tokenizer, sampling=greedy)
    for text, line in zip(texts, path.read_text().splitlines(), strict=True):
        ids = tokenizer(text, add_special_tokens=adds and not writes, return_tensors="pt")["input_ids"]
        end = tokenizer.eos_token_id
        theirs = model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=end, pad_token_id=end)
        assert json.loads(line)["completion_ids"] == theirs[0, ids.shape[1] :].tolist()


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("torn", [b"", b'{"prompt": "seven comes bef'])
def test_an_interrupted_call_resumes(teacher, bpe, tmp_path, torn):
    whole = write(teacher, bpe, tmp_path / "whole.jsonl")
    calls = []

    def count(*_):
        calls.append(1)
        if len(calls) == 14:  # in the third batch of five calls of the model each
            raise BrokenError

    handle = teacher.register_forward_pre_hook(count)
    path = tmp_path / "parts.jsonl"
    with pytest.raises(BrokenError):
        write(teacher, bpe, path)
    assert not path.exists()
    with (tmp_path / "parts.jsonl.part").open("ab") as file:
        file.write(torn)
    with pytest.raises(DataError) as failure:
        write(teacher, bpe, path, seed=5)
    assert str(failure.value) == (
        f"{path}.part was started with other prompts or settings\n  hint: delete it, or choose another file"
    )
    handle.remove()
    again = []
    handle = teacher.register_forward_pre_hook(lambda *_: again.append(1))
    assert write(teacher, bpe, path) == whole
    handle.remove()
    assert len(again) == 2 * 5
    with pytest.raises(DataError) as failure:
        write(teacher, bpe, path)
    assert str(failure.value) == f"{path} exists already\n  hint: choose another file, or delete it"


def test_from_the_command_line(teacher, bpe, tmp_path):
    teacher.save_pretrained(tmp_path / "model")
    bpe.save_pretrained(tmp_path / "model")
    (tmp_path / "prompts.jsonl").write_text("\n".join(json.dumps({"question": text}) for text in PROMPTS))
    command = [
        sys.executable,
        "-m",
        "distill_nlp.generation",
        *(str(tmp_path / name) for name in ("model", "prompts.jsonl", "out.jsonl")),
    ]
    options = ["--max-new-tokens", "5", "--batch-size", "3"]
    wrong = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 1
    assert wrong.stderr.endswith(
        f"{tmp_path / 'prompts.jsonl'} has no column 'prompt'\n  hint: choose from 'question'\n"
    )
    done = subprocess.run([*command, "--column", "question", *options], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, [str(tmp_path / "out.jsonl")]), done.stderr
    greedy = Sampling(max_new_tokens=5, temperature=0.0)
    expected = write_completions(teacher, PROMPTS, tmp_path / "here.jsonl", tokenizer=bpe, sampling=greedy)
    assert read_table(tmp_path / "out.jsonl") == read_table(expected)
