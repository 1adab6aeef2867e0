"""Conversations: tokens and masks equal those of transformers' chat templates; whole turns; sources; refusals."""

from __future__ import annotations

import json

import datasets
import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import conversations
from distill_nlp.generation import OnPolicy, prompt_lengths
from distill_nlp.models import tiny_gpt2

from ..chat_tokenizers import chat_tokenizer, template

SYSTEM = {"role": "system", "content": "Be brief."}
CHATS = [
    [{"role": "user", "content": "the capital of France"}, {"role": "assistant", "content": "Paris"}],
    [SYSTEM, {"role": "user", "content": "is Paris?"}, {"role": "assistant", "content": "\n the capital\n"}],
    [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "tool", "content": "[3]"},
        {"role": "assistant", "content": "four five"},
        {"role": "user", "content": "six"},
        {"role": "assistant", "content": "seven"},
    ],
]
ROWS = [{"messages": chat} for chat in CHATS]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
KINDS = {f"begin={begin} marks={marks}": {"begin": begin, "marks": marks} for begin in (0, 1) for marks in (0, 1)}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def tokenizer(request):
    return chat_tokenizer(adds_begin=bool(request.param["begin"]), chat_template=template(**request.param))


@pytest.fixture
def plain():
    return chat_tokenizer(chat_template=template())


def load(rows, tokenizer, **options):
    return conversations(rows, tokenizer=tokenizer, batch_size=2, shuffle=False, **options).dataset


def encoded(tokenizer, chat, **options):
    return tokenizer.apply_chat_template(chat, **options)["input_ids"]


def answers(tokenizer, chat, which):
    """Return the positions of the assistant's tokens by prefixes, with a newline after the end token or not."""
    marked = "generation" in tokenizer.chat_template.replace("add_generation_prompt", "")
    spans = []
    for index in which:
        start = len(encoded(tokenizer, chat[:index], add_generation_prompt=True))
        spans += range(start, len(encoded(tokenizer, chat[: index + 1])) - marked)
    return spans


def turns(chat):
    return [index for index, message in enumerate(chat) if message["role"] == "assistant"]


@pytest.mark.parametrize("kind", ["all", "last"])
def test_tokens_and_targets_are_those_of_the_template(tokenizer, kind):
    for chat, sample in zip(CHATS, load(ROWS, tokenizer, answers=kind), strict=True):
        ids = encoded(tokenizer, chat)
        which = turns(chat) if kind == "all" else turns(chat)[-1:]
        counted = answers(tokenizer, chat, which) if "\n\n" not in tokenizer.decode(ids) else None
        assert sample["input_ids"].tolist() == ids[:-1]
        found = [index + 1 for index, token in enumerate(sample["target"].tolist()) if token != -100]
        assert [ids[index] for index in found] == [token for token in sample["target"].tolist() if token != -100]
        if counted is not None:
            assert found == counted


def test_marks_are_those_of_transformers():
    tokenizer = chat_tokenizer(chat_template=template(marks=True))
    for chat, sample in zip(CHATS, load(ROWS, tokenizer), strict=True):
        made = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
        assert (sample["target"] != -100).long().tolist() == made["assistant_masks"][1:]


def test_tools_reach_the_template_and_messages_after_the_last_answer_do_not(plain):
    chat = CHATS[0]
    rows = [{"messages": [*chat, {"role": "user", "content": "more"}], "tools": tools} for tools in (TOOLS, None)]
    with_tools, without = load(rows, plain)
    assert with_tools["input_ids"].tolist() == encoded(plain, chat, tools=TOOLS)[:-1]
    assert without["input_ids"].tolist() == encoded(plain, chat)[:-1]
    (as_text,) = load([{"messages": chat, "tools": json.dumps(TOOLS)}], plain)
    assert as_text["input_ids"].tolist() == with_tools["input_ids"].tolist()
    for cell, text in (("{", "`tools` is not JSON"), (5, "`tools` must be a list of JSON schemas, got 5")):
        with pytest.raises(DataError, match=text):
            load([{"messages": chat, "tools": cell}], plain)


def test_truncation_keeps_whole_turns(tokenizer, caplog):
    chat = CHATS[2]
    sizes = [len(encoded(tokenizer, chat[: index + 1])) for index in turns(chat)]
    for length in range(sizes[0] - 1, sizes[-1] + 2):
        (sample,) = load([{"messages": chat}], tokenizer, max_length=length)
        expected = max(size for size in sizes if size <= length + 1)
        assert sample["input_ids"].tolist() == encoded(tokenizer, chat)[: expected - 1]
    with pytest.raises(DataError, match="no conversation of the list has a first answer within `max_length`"):
        load([{"messages": chat}], tokenizer, max_length=sizes[0] - 2)
    with caplog.at_level("WARNING", "distill"):
        short = len(encoded(tokenizer, CHATS[0])) - 1
        long = [{"role": "user", "content": "a" * 99}, {"role": "assistant", "content": "b"}]
        assert len(load([{"messages": long}, ROWS[0]], tokenizer, max_length=short)) == 1
    assert "1 of 2 conversations are omitted: their first answer does not fit" in caplog.text


@pytest.mark.parametrize("source", ["jsonl", "parquet", "saved", "dataset", "splits"])
def test_every_source_gives_the_same_samples(tmp_path, plain, source):
    made, path = datasets.Dataset.from_list(ROWS), tmp_path / f"rows.{source}"
    if source == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    elif source == "parquet":
        made.to_parquet(path)
    elif source == "saved":
        made.save_to_disk(path)
    splits = datasets.DatasetDict({"train": made.select([0]), "test": made.select([1, 2])})
    given = {"dataset": made, "splits": splits}.get(source, path)
    for one, other in zip(load(given, plain), load(ROWS, plain), strict=True):
        assert one["input_ids"].tolist() == other["input_ids"].tolist()
        assert one["target"].tolist() == other["target"].tolist()


def test_prompts_of_on_policy_text_are_all_before_the_last_answer(tokenizer):
    chats = [CHATS[0], CHATS[2]]
    rows = [{"messages": chat} for chat in chats]
    (batch,) = list(conversations(rows, tokenizer=tokenizer, batch_size=3, shuffle=False, answers="last"))
    prompts = [encoded(tokenizer, chat[:-1], add_generation_prompt=True) for chat in chats]
    lengths = prompt_lengths(batch["mask"]).tolist()
    assert lengths == [len(prompt) for prompt in prompts]
    torch.manual_seed(0)
    student = tiny_gpt2(vocab_size=len(tokenizer), layers=1, width=16, heads=2, max_length=256).train()
    rollout = OnPolicy(student, tokenizer, fraction=1.0, max_new_tokens=4)
    made = rollout(batch["input_ids"], batch["target"], batch["mask"])
    for row, mask, prompt in zip(made["input_ids"].tolist(), made["mask"], prompts, strict=True):
        assert row[: len(prompt)] == prompt
        assert mask.nonzero()[0].item() == len(prompt) - 1


def user(text):
    return {"role": "user", "content": text}


BAD = {
    "text": ("hello", "rows? must be a list of messages, got 'hello'"),
    "empty": ([], "must be a list of messages, got \\[\\]"),
    "texts": (["a"], "message 1 must be a mapping with `role` and `content`, got 'a'"),
    "sharegpt": ([{"from": "human", "value": "a"}], "message 1: `role` must be text, got nothing"),
    "number": ([user(5)], "message 1: `content` must be text, got the int 5"),
    "nothing": ([user(None)], "message 1: `content` must be text, got nothing"),
    "no answer": ([user("a")], "`messages` has no message of the role assistant"),
    "first": ([{"role": "assistant", "content": "a"}], "the first message is the assistant's"),
}


@pytest.mark.parametrize(("cell", "text"), BAD.values(), ids=BAD)
def test_rows_that_are_not_conversations_are_refused_with_their_location(plain, cell, text):
    with pytest.raises(DataError, match=text.removeprefix("rows? ")) as failure:
        load([ROWS[0], {"messages": cell}], plain)
    assert str(failure.value).startswith("the list: row 2: `messages`")


def test_templates_that_cannot_be_used_are_refused(plain):
    with pytest.raises(DataError, match="has no chat template"):
        load(ROWS, chat_tokenizer())
    refusing = chat_tokenizer(chat_template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(DataError, match="the chat template refuses the messages: roles must alternate"):
        load(ROWS, refusing)
    changing = "{{ message['role'] + (': ' if loop.last else ', earlier: ') + message['content'] + '<|im_end|>' }}"
    tokenizer = chat_tokenizer(
        chat_template=template(message=changing).replace("<|im_start|>assistant\\n", "assistant: ")
    )
    with pytest.raises(DataError, match="renders message 2 differently before and after others follow it"):
        load([ROWS[2]], tokenizer)
    with pytest.raises(DataError, match="`answers` must be all or last, got first"):
        load(ROWS, plain, answers="first")
