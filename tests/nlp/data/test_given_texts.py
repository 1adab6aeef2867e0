"""Datasets of texts prepare texts of a user as their own samples, and language models complete prompts."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.data import AcceptsInputs, Loader, PredictionOptions
from distill_core.errors import DataError
from distill_nlp.data import completions, conversations, glue, language_modelling, text_classification

TEXTS = ["a girl is styling her hair", "a man plays a large flute", "the plot is a mess"]
CHAT = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def rows_file(tmp_path, rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def single(tmp_path, tokenizer, **options):
    file = rows_file(tmp_path, [{"sentence": text, "label": "no"} for text in TEXTS])
    return text_classification(file, tokenizer=tokenizer, batch_size=2, labels=["no", "yes"], max_length=6, **options)


def pairs(tmp_path, tokenizer):
    rows = [{"sentence1": text, "sentence2": TEXTS[0], "label": index % 2} for index, text in enumerate(TEXTS)]
    (tmp_path / "RTE").mkdir()
    rows_file(tmp_path, [row | {"label": "entailment"} for row in rows], "RTE/dev.jsonl")
    return glue("rte", "val", root=tmp_path, tokenizer=tokenizer, batch_size=2)


def test_rows_and_lines_give_the_samples_of_the_data(tmp_path, tokenizer):
    loader = single(tmp_path, tokenizer)
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(TEXTS[:2]) + "\n\n")
    for paths, texts in (([tmp_path / "rows.jsonl"], []), ([lines], TEXTS[2:]), ([], TEXTS)):
        given = loader.dataset.given_inputs(paths, texts)
        assert given.inputs == TEXTS
        for one, other in zip(loader, Loader(given.dataset, 2, collate=loader.collate), strict=True):
            assert set(one) - set(other) == {"target"}
            assert all(torch.equal(one[name], other[name]) for name in other)


def test_pairs_come_from_rows(tmp_path, tokenizer):
    loader = pairs(tmp_path, tokenizer)
    rows = rows_file(tmp_path, [{"sentence1": text, "sentence2": TEXTS[0]} for text in TEXTS])
    given = loader.dataset.given_inputs([rows], [])
    assert given.inputs[1] == {"sentence1": TEXTS[1], "sentence2": TEXTS[0]}
    (one, *_), (other, *_) = loader, Loader(given.dataset, 2, collate=loader.collate)
    assert torch.equal(one["input_ids"], other["input_ids"])
    assert one["token_type_ids"].any()
    with pytest.raises(DataError, match="the model takes pairs of texts, got the text 'a'") as raised:
        loader.dataset.given_inputs([], ["a"])
    assert raised.value.hint == "give a .jsonl whose rows have the columns sentence1 and sentence2"


def test_scores_and_several_labels_are_known(tmp_path, tokenizer):
    rows = [{"sentence": text, "label": 0.5, "many": ["x"]} for text in TEXTS]
    file = rows_file(tmp_path, rows)
    scores = text_classification(file, tokenizer=tokenizer, batch_size=2, labels=None)
    several = text_classification(
        file, tokenizer=tokenizer, batch_size=2, target="many", labels=["x", "y"], several=True
    )
    assert scores.dataset.given_inputs([], ["a"]).outputs == "value"
    assert several.dataset.given_inputs([], ["a"]).outputs == "labels"
    assert single(tmp_path, tokenizer).dataset.given_inputs([], ["a"]).outputs == "class"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n', "has no column 'sentence'\n  hint: the columns are text"),
        ("a.txt", "\n", "has no texts"),
        ("a.png", "x", "the model takes texts, and {file} is neither a text file nor a table"),
        ("b.txt", None, "{file} cannot be read: No such file or directory"),
    ],
)
def test_files_without_texts_are_refused(tmp_path, tokenizer, name, content, message):
    dataset = single(tmp_path, tokenizer).dataset
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as raised:
        dataset.given_inputs([tmp_path / name], [])
    assert message.format(file=tmp_path / name) in str(raised.value)


@pytest.fixture
def chat_tokenizer(tokenizer):
    tokenizer = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]"
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def prompts_of(kind, tmp_path, tokenizer, **options):
    rows = [{"prompt": TEXTS[0], "completion": TEXTS[1]}]
    if kind == "completions":
        return completions(rows, tokenizer=tokenizer, batch_size=2, **options)
    if kind == "conversations":
        messages = [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": TEXTS[1]}]
        return conversations([{"messages": messages}], tokenizer=tokenizer, batch_size=2, **options)
    packed = kind == "packed"
    return language_modelling(TEXTS * 4, "all", tokenizer=tokenizer, batch_size=2, block=8, packed=packed, **options)


@pytest.mark.parametrize("kind", ["completions", "conversations", "packed", "documents"])
def test_prompts_are_tokenised_like_those_of_the_data(kind, tmp_path, chat_tokenizer):
    dataset = prompts_of(kind, tmp_path, chat_tokenizer).dataset
    assert isinstance(dataset, AcceptsInputs)
    given = dataset.given_inputs([], TEXTS[:2])
    asked = [f"<user>{text}<assistant>" if kind == "conversations" else text for text in TEXTS[:2]]
    special = {} if kind != "conversations" else {"add_special_tokens": False}
    expected = [chat_tokenizer(text, **special)["input_ids"] for text in asked]
    if kind != "conversations":
        expected = [row[: -1 if row[-1] == chat_tokenizer.eos_token_id else None] for row in expected]
    limit = 8 if kind in ("packed", "documents") else 1000
    assert [sample["input_ids"].tolist() for sample in given.dataset] == [row[-limit:] for row in expected]
    assert given.inputs == tuple(TEXTS[:2])


def test_conversations_in_rows_lose_the_answer_at_their_end(tmp_path, chat_tokenizer):
    dataset = prompts_of("conversations", tmp_path, chat_tokenizer).dataset
    user, answer = {"role": "user", "content": TEXTS[2]}, {"role": "assistant", "content": TEXTS[1]}
    rows = rows_file(tmp_path, [{"messages": [user, answer]}, {"messages": [user]}])
    given = dataset.given_inputs([rows], [])
    assert list(given.inputs) == [[user], [user]]
    expected = chat_tokenizer(f"<user>{TEXTS[2]}<assistant>", add_special_tokens=False)["input_ids"]
    assert [sample["input_ids"].tolist() for sample in given.dataset] == [expected, expected]


def test_completions_are_those_of_greedy_generate(tmp_path, chat_tokenizer):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    end = chat_tokenizer.eos_token_id
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(chat_tokenizer), eos_token_id=end, bos_token_id=2, **sizes)
    ).eval()
    loader = prompts_of("packed", tmp_path, chat_tokenizer)
    given = loader.dataset.given_inputs([], TEXTS[:2])
    (batch,) = Loader(given.dataset, 2, collate=given.collate)
    records = given.complete(model, batch, PredictionOptions(max_new_tokens=5))
    for row, record in zip(batch["input_ids"], records, strict=True):
        written = model.generate(row[None], max_new_tokens=5, do_sample=False, pad_token_id=0)[0, len(row) :]
        assert record["completion"] == chat_tokenizer.decode(written, skip_special_tokens=True)
