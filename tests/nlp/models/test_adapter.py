"""Adapters are trained, saved, loaded and used as teachers."""

from __future__ import annotations

import sys

import pytest
import torch

from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.losses import KDLoss
from distill_core.train import Trainer
from distill_nlp.models import SavePretrained, from_pretrained, tiny_bert, with_adapter, with_lora

FEED = {"input_ids": "batch.input_ids"}
TRAIN = ["student.*lora_*", "student.*modules_to_save*"]


@pytest.fixture
def folder(tmp_path):
    tiny_bert(vocab_size=20, layers=1, width=8, dropout=0.0).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def load(folder):
    return from_pretrained("AutoModelForSequenceClassification", folder)


def run(output, terms, **models):
    data = TensorData({"input_ids": torch.randint(20, (8, 6)), "target": torch.randint(2, (8,))})
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.5)  # noqa: E731
    stage = Stage(epochs=2, losses=terms, optimizer=optimizer, feed=dict.fromkeys(models, FEED), train=TRAIN)
    saving = [SavePretrained()]
    Trainer(
        Experiment(models=models, data={"train": Loader(data, 4)}, stages=[stage], callbacks=saving), output=output
    ).fit()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # from PEFT and its dependencies
def test_only_the_adapter_is_trained_saved_and_used_as_teacher(folder, tmp_path):
    pytest.importorskip("peft")
    student = with_lora(load(folder), rank=2)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    ce = Term(loss=torch.nn.CrossEntropyLoss(), inputs={"input": "student:out.logits", "target": "batch.target"})
    run(tmp_path / "run", {"ce": ce}, student=student)
    after = student.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed
    assert all("lora_" in name or "modules_to_save" in name for name in changed)
    teacher = with_adapter(load(folder), tmp_path / "run/student").eval()
    ids = torch.randint(20, (3, 6))
    assert torch.allclose(teacher(ids).logits, student.eval()(ids).logits, atol=1e-6)
    kd = Term(loss=KDLoss(), inputs={"student": "student:out.logits", "teacher": "teacher:out.logits"})
    run(tmp_path / "second", {"kd": kd}, student=with_lora(load(folder), rank=2), teacher=teacher)
    assert not (tmp_path / "run/student/model.safetensors").exists()


def test_a_folder_without_an_adapter_is_refused(folder):
    pytest.importorskip("peft")
    with pytest.raises(DistillError) as caught:
        with_adapter(load(folder), folder)
    assert str(caught.value) == (
        f"{folder} has no adapter: adapter_config.json and adapter_model.safetensors are missing"
    )


def test_without_peft_the_error_names_the_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DistillError) as caught:
        with_lora(load(folder))
    assert str(caught.value) == "adapters require PEFT, which is not installed\n  hint: pip install peft"
