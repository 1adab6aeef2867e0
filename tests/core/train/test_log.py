from __future__ import annotations

from typing import Any

import pytest
import torch

from distill_core.train import Callback, TensorBoard, Trainer


class Rows(Callback):
    """The loss of each step."""

    def __init__(self, rows: list[float]) -> None:
        self.rows = rows

    def on_log(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["split"] == "train":
            self.rows.append(record["loss"])


def test_tensorboard_has_the_numbers_of_the_log(experiment, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Trainer(experiment(), output=tmp_path, callbacks=[TensorBoard()]).fit()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = {"train/loss", "train/lr", "train/losses/ce", "train/losses/kd", "val/top1"}
    assert set(events.Tags()["scalars"]) == tags
    assert [event.step for event in events.Scalars("val/top1")] == [7, 14]


def test_a_run_in_float64_is_logged_as_in_float32(experiment, tmp_path):
    """With a default dtype of float64, as `torch.set_default_dtype` sets it for new tensors."""
    logged: dict[torch.dtype, list[float]] = {}
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(torch.float32)
        trained = experiment(log_every=1, callbacks=[Rows(logged.setdefault(dtype, []))])
        inputs = trained.data["train"].dataset.tensors
        inputs["input"] = inputs["input"].to(dtype)
        for module in (*trained.models.values(), *(term.loss for term in trained.stages[0].losses.values())):
            module.to(dtype)
        trained.models["student"][3].p = 0.0
        torch.set_default_dtype(dtype)
        Trainer(trained, output=tmp_path / str(dtype)).fit()
    assert len(logged[torch.float64]) == 14
    assert logged[torch.float64] == pytest.approx(logged[torch.float32], rel=1e-4)
