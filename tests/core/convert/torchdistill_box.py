"""Runs of torchdistill itself: its own YAML reader, models and box on given weights and batches."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from distill_core.data import SeedPath
from distill_core.experiment import Experiment

Copies = Mapping[int, Mapping[str, str]]
"""Stage → path of a module of theirs → path of the module of ours that it starts from, below the stage's losses."""


def paths_of(value: Any) -> Iterator[str]:
    """Yield the module paths that a criterion or a wrapper names."""
    if isinstance(value, dict):
        for key, below in value.items():
            if isinstance(below, str) and key.endswith("path") and below != ".":
                yield below
            yield from paths_of(below)
    elif isinstance(value, list):
        for below in value:
            yield from paths_of(below)


def stand_in_for_examples(patch: pytest.MonkeyPatch) -> None:
    """Let the files name transforms and collate functions of torchdistill's examples, which are not installed with it."""
    package, transforms = ModuleType("custom"), ModuleType("custom.transform")
    transforms.__getattr__ = lambda name: lambda *args, **kwargs: None  # type: ignore[method-assign]
    patch.setitem(sys.modules, "custom", package)
    patch.setitem(sys.modules, "custom.transform", transforms)
    known = importlib.import_module("torchdistill.datasets.registry").COLLATE_FUNC_DICT
    for name in ("coco_seg_collate_fn", "coco_seg_eval_collate_fn"):
        patch.setitem(known, name, list)


class Box:
    """A distillation box of torchdistill.

    Args:
        file: The old file. Its data loaders are built and not read.
        fresh: Our experiment before training: the weights of both models and the batches.
        copies: The auxiliary modules that start from ours.
        evaluates: Whether the teacher is in eval mode, which torchdistill never sets.
        patch: Sets attributes until the end of the test.

    Attributes:
        box: Their box.
        supplement: Returns what a wrapper of the dataset adds to a batch.
    """

    def __init__(
        self,
        file: Path,
        fresh: Experiment,
        copies: Copies,
        *,
        evaluates: bool,
        patch: pytest.MonkeyPatch,
    ) -> None:
        distillation = importlib.import_module("torchdistill.core.distillation")
        reader = importlib.import_module("torchdistill.common.yaml_util")
        self.fresh, self.copies, self.evaluates = fresh, copies, evaluates
        self.supplement: Callable[[dict[str, Any]], dict[str, Any]] = lambda batch: {}
        self._hook = distillation.set_hooks
        config = reader.load_yaml_file(str(file))
        self._paths = sorted(set(paths_of(config["train"])))
        patch.setattr(distillation, "set_hooks", self._set_hooks)
        patch.setattr(torch, "load", _loading_all(torch.load))
        models = {side: self._model(config["models"][f"{side}_model"], side) for side in ("teacher", "student")}
        self.box = distillation.get_distillation_box(
            models["teacher"], models["student"], config["datasets"], config["train"], torch.device("cpu"), None, False, 1.0
        )  # fmt: skip

    def _model(self, config: dict[str, Any], side: str) -> nn.Module:
        """Return their model with our weights."""
        key, given = config["key"], config["kwargs"]
        official = importlib.import_module("torchdistill.models.official").OFFICIAL_MODEL_DICT
        own = vars(importlib.import_module("torchdistill.models.classification.resnet"))
        model: nn.Module = (own if key in own else official)[key](**given)
        model.load_state_dict(self.fresh.models[side].state_dict())
        return model

    def _set_hooks(self, model: nn.Module, whole: nn.Module, config: dict[str, Any], io_dict: dict[str, Any]) -> Any:
        """Place the hooks that the losses read."""
        get_module = importlib.import_module("torchdistill.common.module_util").get_module
        found = [p for p in self._paths if get_module(model if p[0] == "+" else whole, p.removeprefix("+")) is not None]
        hooks = {"forward_hook": {"input": found, "output": found}}
        return self._hook(model, whole, config | hooks, io_dict)

    def losses(self) -> list[float]:
        """Return the loss of each step."""
        given = []
        for stage, ours in enumerate(self.fresh.stages):
            self._start(stage)
            for epoch in range(ours.epochs):
                self.box.pre_epoch_process(epoch=epoch)
                if self.evaluates:
                    self.box.org_teacher_model.eval()
                batches = self.fresh.data["train"].batches(SeedPath(self.fresh.seed, stage, epoch))
                given += [self._step(batch) for batch in batches]
                self.box.post_epoch_process(metrics=0)
        return given

    def _step(self, batch: dict[str, Any]) -> float:
        self.box.pre_forward_process()
        loss = self.box.forward_process(batch["input"].double(), batch["target"], self.supplement(batch))
        self.box.post_forward_process(loss=loss)
        return float(loss.detach())

    def _start(self, stage: int) -> None:
        """Copy our initial weights into the modules that a stage adds."""
        for theirs, ours in self.copies.get(stage, {}).items():
            side, _, path = theirs.partition(".")
            name, _, inner = ours.partition(".")
            module = getattr(self.box, f"{side}_model").get_submodule(path)
            copy_weights(self.fresh.stages[stage].losses[name].loss.get_submodule(inner), module)

    @property
    def student(self) -> dict[str, torch.Tensor]:
        """The weights of their student."""
        state: dict[str, torch.Tensor] = self.box.org_student_model.state_dict()
        return state


def copy_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy parameters and buffers, in order. A bias before a normalisation, which ours omits, is 0."""
    values = list(ours.state_dict().items())
    state = theirs.state_dict()
    for name, value in state.items():
        if name.endswith("bias") and not (values and values[0][0].endswith("bias")):
            value.zero_()
        else:
            value.copy_(values.pop(0)[1].reshape(value.shape))


def _loading_all(load: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: load(*args, **{"weights_only": True, **kwargs})
