"""Class names, preprocessing and tokenizer are found in the run's own data."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from distill_core.experiment import Evaluation, Experiment, Stage
from distill_core.export import Exported, describe_data, export


def experiment(loader):
    return Experiment(models={}, data={}, stages=[Stage()], test=Evaluation(loader=loader, metrics={}))


def test_pixels_in_memory(monkeypatch):
    pytest.importorskip("sklearn")
    from distill_vision.data import digits

    found = describe_data(experiment(digits("test", batch_size=4)), nn.Linear(1, 1)).preprocessing
    assert found.keys() >= {"mean", "std", "scale"}
    assert found["scale"] == 16


def test_photographs(tmp_path):
    from PIL import Image

    from distill_vision.data import image_folder

    for name in ("cat", "dog"):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "val" / name / "1.png")
    travels = describe_data(experiment(image_folder("test", root=tmp_path, batch_size=2, size=28)), nn.Linear(1, 1))
    assert travels.class_names == ("cat", "dog")
    assert travels.preprocessing == {
        "resize": [32],
        "size": [28, 28],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "scale": 255.0,
    }


def test_texts(tmp_path):
    from distill_core.data import Loader
    from distill_nlp.data import EncodedTexts
    from distill_nlp.tokenizers import wordpiece

    tokenizer = wordpiece(["a text of a few words"] * 3)
    data = EncodedTexts([["a text", "words"]], [0, 1], tokenizer, labels=("bad", "good"))
    travels = describe_data(experiment(Loader(data, 2, collate=data.collate)), nn.Linear(1, 1))
    written = travels.write(Exported(tmp_path / "student.pt2", "pt2", {}, (), ""))
    assert [path.name for path in written] == ["student.json", "student_tokenizer"]
    assert json.loads(written[0].read_text())["class_names"] == ["bad", "good"]
    assert (written[1] / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("own", "names", "expected"),
    [
        (None, ("bad", "good"), {0: "bad", 1: "good"}),
        ({0: "no", 1: "yes"}, ("bad", "good"), {0: "no", 1: "yes"}),
        (None, ("bad", "good", "other"), {0: "LABEL_0", 1: "LABEL_1"}),
    ],
)
def test_a_config_has_the_class_names_unless_the_model_has_its_own(own, names, expected, tmp_path):
    from transformers import AutoConfig, BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    labels = {"id2label": own, "label2id": {name: index for index, name in own.items()}} if own else {}
    model = BertForSequenceClassification(BertConfig(vocab_size=30, **sizes, **labels))
    before = dict(model.config.id2label)
    ids = {"input_ids": torch.randint(5, 30, (2, 4))}
    export(model, ids, tmp_path / "saved", "transformers", class_names=names)
    saved = AutoConfig.from_pretrained(tmp_path / "saved")
    assert saved.id2label == expected
    assert saved.label2id == {name: index for index, name in expected.items()}
    assert model.config.id2label == before
