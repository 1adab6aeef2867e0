"""Data of which `distill new` cannot make an experiment: one class, too few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_core.cli.setup.from_teacher._own_data import own_data
from distill_core.errors import ConfigError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "table", "texts"])
def test_one_class_is_refused(kind):
    pytest.importorskip("distill_nlp" if kind == "texts" else "distill_vision")
    path = Path("data")
    for split in ("train", "val"):
        folder = path / split / "cat" if kind == "folder" else path
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(6 if kind != "texts" else 0):
            (folder / f"{number}.png").touch()
    if kind == "table":
        rows = [f"{number}.png,cat" for number in range(6)]
        (path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    if kind == "texts":
        for name in ("train", "test"):
            (path / f"{name}.csv").write_text("text,label\n" + "a film,cat\n" * 4)
    with pytest.raises(ConfigError, match="data has one class, 'cat', and a classifier needs several"):
        own_data(path)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_rows_of_prompts_are_refused(count):
    pytest.importorskip("distill_nlp")
    Path("rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * count)
    if count == 3:
        assert own_data(Path("rows.jsonl")).num_val == 1
        return
    with pytest.raises(ConfigError, match=f"has {count} rows, too few for training, validation and a test"):
        own_data(Path("rows.jsonl"))
