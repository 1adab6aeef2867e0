from __future__ import annotations

import pytest
import torch

from distill_nlp.data import EncodedTexts


class Counting:
    """A tokenizer that counts its calls."""

    def __init__(self, tokenizer):
        self.tokenizer, self.calls = tokenizer, 0
        self.backend_tokenizer, self.pad_token_id = tokenizer.backend_tokenizer, tokenizer.pad_token_id

    def __call__(self, *texts, **options):
        self.calls += 1
        return self.tokenizer(*texts, **options)


def rows(data):
    return [{name: value.tolist() for name, value in data[i].items()} for i in range(len(data))]


TEXTS = [["a girl", "the film is a delight"]]


def test_cached_tokens_are_not_tokenised_again(tokenizer, tmp_path):
    counting = Counting(tokenizer)
    first = EncodedTexts(TEXTS, None, counting, cache=tmp_path)
    tokenizer(["something else"], truncation=True, max_length=4, padding=True)
    second = EncodedTexts(TEXTS, None, counting, cache=tmp_path)
    assert counting.calls == 1
    assert rows(first) == rows(second) == rows(EncodedTexts(TEXTS, None, tokenizer))
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 4},
        {"texts": [["a girl", "the film is a mess"]]},
        {"texts": [["a girlthe", " film is a delight"]]},
        {"texts": [TEXTS[0], TEXTS[0]]},
    ],
    ids=str,
)
def test_every_setting_of_the_tokens_changes_the_file(tokenizer, tmp_path, change):
    options = {"texts": TEXTS, "max_length": 128, **change}
    for texts, length in ((TEXTS, 128), (options["texts"], options["max_length"])):
        EncodedTexts(texts, None, tokenizer, length, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_another_vocabulary_is_another_file(tokenizer, tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"[PAD]": 0, "a girl": 1, "[UNK]": 2}, unk_token="[UNK]"))
    other = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")
    one, two = (EncodedTexts(TEXTS, None, tool, cache=tmp_path) for tool in (tokenizer, other))
    assert len(list(tmp_path.iterdir())) == 2
    assert two[0]["input_ids"].tolist() == [1] != one[0]["input_ids"].tolist()


def test_a_damaged_file_is_written_again(tokenizer, tmp_path):
    expected = rows(EncodedTexts(TEXTS, None, tokenizer, cache=tmp_path))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:40])
    assert rows(EncodedTexts(TEXTS, None, tokenizer, cache=tmp_path)) == expected
    assert rows(EncodedTexts(TEXTS, None, tokenizer, cache=tmp_path)) == expected


def test_left_padding_of_the_tokenizer_is_used(tokenizer):
    left = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]", padding_side="left")
    data = EncodedTexts(TEXTS, None, left)
    batch = data.collate([data[0], data[1]])
    assert torch.equal(batch["input_ids"], left(TEXTS[0], padding=True, return_tensors="pt")["input_ids"])
