"""Every text dataset works in spawned workers, as on macOS and Windows: it can be pickled and yields the same samples."""

from __future__ import annotations

import json
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

import distill_nlp.data
from distill_core.data import SeedPath
from distill_nlp.tokenizers import byte_level, wordpiece

TEXTS = [f"the old dog {number} lay on the rug {number % 3}" for number in range(12)]
ROWS = [{"prompt": text, "completion": " yes", "sentence": text, "label": n % 2} for n, text in enumerate(TEXTS)]
SQUAD = [{"id": "a", "question": "Who?", "context": TEXTS[0], "answers": {"text": ["dog"], "answer_start": [8]}}] * 3


def lines(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def load(name: str, folder):
    """Build a loader of each dataset from a few rows."""
    causal, pieces = byte_level(TEXTS, vocab_size=280), wordpiece(TEXTS, vocab_size=80)
    options = {"batch_size": 2, "tokenizer": causal if name in {"completions", "language_modelling"} else pieces}
    rows = lines(folder / "rows.jsonl", ROWS)
    if name == "glue":
        (folder / "CoLA").mkdir()
        (folder / "CoLA" / "train.tsv").write_text("sentence\tlabel\na girl\t1\na dog\t0\n")
        return distill_nlp.data.glue("cola", "train", root=folder, **options)
    if name == "conversations":
        causal.chat_template = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}"
        turns = [[{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}] for text in TEXTS]
        source = lines(folder / "chats.jsonl", [{"messages": messages} for messages in turns])
        return distill_nlp.data.conversations(source, tokenizer=causal, batch_size=2)
    if name == "token_classification":
        (folder / "tags.conll").write_text("old B\ndog O\n\nthe O\nrug B\n")
        return distill_nlp.data.token_classification(folder / "tags.conll", **options)
    if name == "question_answering":
        source = lines(folder / "squad.jsonl", [{**row, "id": str(n)} for n, row in enumerate(SQUAD)])
        return distill_nlp.data.question_answering(source, **options)
    if name in {"language_modelling", "masked_language_modelling"}:
        more = {"block": 8} if name == "language_modelling" else {}
        return getattr(distill_nlp.data, name)(TEXTS, **more, **options)
    return getattr(distill_nlp.data, name)(rows, **options)


NAMES = sorted(name for name, value in vars(distill_nlp.data).items() if hasattr(value, "example_batch"))


def test_the_datasets_are_found():
    assert len(NAMES) >= 7


def same(one, other) -> bool:
    pairs = list(zip(tree_leaves(one), tree_leaves(other), strict=True))
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_a_pickled_dataset_yields_the_same_samples(name, tmp_path):
    loader = load(name, tmp_path)
    expected = next(loader.batches(SeedPath(seed=3)))
    for part in ("dataset", "collate", "mix"):
        setattr(loader, part, ForkingPickler.loads(ForkingPickler.dumps(getattr(loader, part))))
    assert same(next(loader.batches(SeedPath(seed=3))), expected)


def test_a_spawned_worker_yields_the_same_batches(tmp_path):
    loader = load("masked_language_modelling", tmp_path)
    spawned = DataLoader(loader.dataset, 2, collate_fn=loader.collate, num_workers=1, multiprocessing_context="spawn")
    here = loader.collate([loader.dataset[0], loader.dataset[1]])
    assert [leaf.shape for leaf in tree_leaves(next(iter(spawned)))] == [leaf.shape for leaf in tree_leaves(here)]
