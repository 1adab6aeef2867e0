"""An export finds the tokenizer of every text dataset, so that the folder of a model is complete without callbacks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from distill_core.export import describe_data

from .test_spawned_workers import NAMES, load


@pytest.mark.parametrize("name", NAMES)
def test_an_export_has_the_tokenizer_of_the_data(name, tmp_path):
    loader = load(name, tmp_path)
    run = SimpleNamespace(test=None, data={"train": loader}, callbacks=[])
    tokenizer = describe_data(run, torch.nn.Linear(1, 1)).tokenizer
    ids = loader.dataset[0]["input_ids"].tolist()
    assert tokenizer.decode(ids)
    assert tokenizer.pad_token_id is not None
