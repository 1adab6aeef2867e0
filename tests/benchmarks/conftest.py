"""What tests of recipes share: a BERT of a few numbers in the place of one of the hub, and what a training logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_core.train import Callback

WIDTH = 24
LABELS = {"mnli": 3, "stsb": 1, "conll2003": 9}


@pytest.fixture(scope="session")
def instead(tmp_path_factory):
    """File → the changes that put a tiny model, with as many labels as the task has, where the file names one of the hub."""
    from transformers import BertForMaskedLM

    from distill_core.config import read
    from distill_nlp.models import tiny_bert
    from distill_nlp.tokenizers import wordpiece

    made: dict[str, Path] = {}

    def folder(task: str) -> Path:
        if task not in made:
            labels = LABELS.get(task, 2)
            made[task] = tmp_path_factory.mktemp("model") / f"labels{labels}"
            model = tiny_bert(vocab_size=64, layers=6, width=WIDTH, heads=12, intermediate=8, num_labels=labels)
            if task == "masked_words":
                model = BertForMaskedLM(model.config)
            model.save_pretrained(made[task])
            wordpiece(["a text of a few words"]).save_pretrained(made[task])
        return made[task]

    def changes(file: Path) -> list[str]:
        keys = [key.value for key, _ in read(file).root.value]
        tiny = folder(file.parent.name)
        named = [f"{key}={tiny}" for key in ("_model", "_teacher") if key in keys]
        return named + [f"{key}={WIDTH}" for key in ("_width", "_teacher_width") if key in keys]

    return changes


class Losses(Callback):
    """Keeps what the training logs."""

    def __init__(self) -> None:
        self.terms: list[dict[str, float]] = []

    def on_log(self, trainer, record) -> None:
        if record["split"] == "train":
            self.terms.append(record["losses"])


@pytest.fixture
def seen() -> Losses:
    """A callback that keeps the terms of each log line of the training."""
    return Losses()
