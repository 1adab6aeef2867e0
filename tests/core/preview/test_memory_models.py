"""The predicted memory of models of transformers and torchvision against torch's tracker on real tensors."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment, Stage, Term
from distill_core.losses import ForwardKLLoss
from distill_core.preview import StageMemory, predict_memory

from .memory_by_hand import WORKS, Work, measured, token_loss, tracked


def predicted(work: Work, parallel: str, *, recompute: bool) -> StageMemory:
    """Return the memory on one of two processes."""
    feed = {name: f"batch.{name}" for name in work.batch if name != "target"}
    term = Term(loss=token_loss, inputs={"student": work.field, "target": "batch.target"})
    stage = Stage(epochs=1, optimizer=partial(torch.optim.AdamW, lr=1e-3), losses={"ce": term}, feed={"student": feed})
    experiment = Experiment(
        models={"student": work.model},
        data={"train": Loader(TensorData(work.batch), len(work.batch["target"]))},
        stages=[stage],
        parallel=parallel,
        activation_checkpointing=["student"] if recompute else [],
    )
    return predict_memory(experiment, 2)[0]


def check(name: str, parallel: str, *, recompute: bool, large: bool) -> int:
    """Compare prediction and measurement of every part that both have; return the bytes measured."""
    torch.manual_seed(0)
    work = WORKS[name](large=large)
    found = predicted(work, parallel, recompute=recompute)
    expected = measured(work, parallel, recompute=recompute)
    assert found.total == pytest.approx(expected["Total"], rel=0.1)
    assert found.parameters == pytest.approx(expected["Parameter"] + expected.get("Buffer", 0), rel=0.1)
    assert found.optimizer == pytest.approx(expected["Optstate"], rel=0.1)
    return expected["Total"]


@pytest.mark.parametrize(
    ("name", "parallel", "recompute"),
    [("llama", "ddp", False), ("llama", "fsdp", True), ("bert", "fsdp", False), ("resnet", "ddp", True)],
)
def test_small_models(name, parallel, recompute):
    check(name, parallel, recompute=recompute, large=False)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", WORKS)
def test_large_models(name, parallel, recompute):
    assert check(name, parallel, recompute=recompute, large=True) >= 200 * 2**20


@pytest.mark.parametrize("masked", [False, True])
def test_losses_over_a_vocabulary_are_those_of_the_trainer(masked):
    """A compiled one would compute its rows again in the backward pass. Masked tokens are computed too, as on a GPU."""
    teacher, student = (WORKS["llama"](large=False) for _ in range(2))
    inputs = {"student": "student:out.logits", "teacher": "teacher:out.logits"}
    term = Term(loss=ForwardKLLoss(), inputs=inputs | ({"mask": "batch.attention_mask"} if masked else {}))
    stage = Stage(
        epochs=1, optimizer=partial(torch.optim.AdamW, lr=1e-3), losses={"kd": term},
        feed={name: {"input_ids": "batch.input_ids", "attention_mask": "batch.attention_mask"} for name in ("teacher", "student")},
    )  # fmt: skip
    data = {"train": Loader(TensorData(student.batch), len(student.batch["target"]))}
    models = {"teacher": teacher.model, "student": student.model}
    found = predict_memory(Experiment(models=models, data=data, stages=[stage]))[0]
    ids, mask = student.batch["input_ids"], student.batch["attention_mask"]
    with torch.no_grad():
        constant = teacher.model(input_ids=ids, attention_mask=mask).logits
    assert found.logits == 2 * constant.nbytes
    loss = partial(ForwardKLLoss(), teacher=constant)
    expected = tracked(student, lambda: loss(student.model(input_ids=ids, attention_mask=mask).logits))
    total = expected["Total"] + constant.nbytes + sum(tensor.nbytes for tensor in teacher.model.parameters())
    assert found.total == pytest.approx(total, rel=0.1)
