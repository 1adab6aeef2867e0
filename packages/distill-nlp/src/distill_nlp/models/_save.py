"""Saving of a trained model in the format of transformers."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from distill_core.errors import DistillError, did_you_mean
from distill_core.export import (
    Exported,
    Sidecar,
    check_mergeable,
    describe_data,
    describe_training,
    has_adapters,
    merge_adapters,
    model_card,
    pipeline_of,
    write_pretrained,
)
from distill_core.train import Callback, Run

from ..data import find_tokenizer
from ._padding import set_padding

CARD = "README.md"


@final
class SavePretrained(Callback):
    """Save the selected weights of a model at the end of a run, for `from_pretrained`.

    The folder has `config.json`, `generation_config.json` and `model.safetensors`, or for PEFT adapters
    `adapter_config.json` and `adapter_model.safetensors`, optionally the tokenizer's files with its chat template, and a
    model card with the metadata of the Hugging Face Hub. The model is saved with the tokenizer's padding token, and with
    the default `use_cache` of its config, because it will generate.

    Args:
        tokenizer: The tokenizer, or its name or folder. None saves only the model.
        model: The name of the model.
        folder: The output folder. Defaults to the name of the model in the run's folder.
        merge_adapters: Add PEFT adapters to the weights, and save a model that loads without PEFT.
        license: The license for the model card, by its name on the hub: `apache-2.0`.
        datasets: Names of datasets on the hub for the model card.
    """

    def __init__(
        self,
        tokenizer: Any = None,
        *,
        model: str = "student",
        folder: str | Path | None = None,
        merge_adapters: bool = False,
        license: str = "",  # noqa: A002  as the key of the hub is called
        datasets: Sequence[str] = (),
    ) -> None:
        self.tokenizer = find_tokenizer(tokenizer) if tokenizer is not None else None
        self.model, self.folder, self.merge_adapters = model, folder, merge_adapters
        self.license, self.datasets = license, tuple(datasets)

    def check(self, models: Mapping[str, nn.Module]) -> None:
        """Refuse a model that cannot be saved, by saving it without weights in a temporary folder.

        Raises:
            DistillError: The model does not exist, cannot be saved, or does not match the tokenizer.
        """
        if self.model not in models:
            message = f"SavePretrained: there is no model '{self.model}'"
            raise DistillError(message, hint=did_you_mean(self.model, models))
        model: Any = models[self.model]
        if not hasattr(model, "save_pretrained") or not hasattr(model, "config"):
            missing = "config" if hasattr(model, "save_pretrained") else "save_pretrained"
            message = f"SavePretrained: '{self.model}' is a {type(model).__name__}, which has no {missing}"
            raise DistillError(message, hint="use a model of transformers or PEFT")
        if self.tokenizer is not None:
            set_padding(model, self.tokenizer)
        if self.merge_adapters:
            if not has_adapters(model):
                message = f"SavePretrained: '{self.model}' has no adapters to merge"
                raise DistillError(message, hint="omit `merge_adapters`")
            check_mergeable(model)
            model = model.get_base_model()
        self._save_trial(model)

    def on_fit_start(self, run: Run) -> None:
        """Refuse a run whose model cannot be saved, or whose folder cannot be written.

        Raises:
            DistillError: The model cannot be saved, or no output folder is set or can be written.
        """
        self.check(run.models)
        if self.folder is None and run.output is None:
            message = "SavePretrained: no output folder is set"
            raise DistillError(message, hint="set `folder`, or run with an output folder")
        if self.merge_adapters and run.experiment.parallel in ("fsdp", "deepspeed"):
            message = f"SavePretrained: adapters of a model that is sharded by {run.experiment.parallel} are not merged"
            raise DistillError(message, hint="omit `merge_adapters`, then run `distill export --format transformers`")
        _check_writable(self._path(run))

    def _path(self, run: Run) -> Path:
        return Path(self.folder).expanduser() if self.folder is not None else Path(run.output or ".") / self.model

    def _save_trial(self, model: Any) -> None:
        """Save settings, tokenizer and the names of shared weights in a temporary folder."""
        try:
            with tempfile.TemporaryDirectory() as folder, _without_progress_bars():
                if not has_adapters(model):  # otherwise the base model is not saved
                    model.save_pretrained(folder, state_dict=_shared_weights(model))
                if self.tokenizer is not None:
                    self.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
        except (ValueError, TypeError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), "")
            message = f"SavePretrained: '{self.model}' cannot be saved: {reason}"
            hint = "load it without quantization" if getattr(model, "is_quantized", False) else "correct its config"
            raise DistillError(message, hint=hint) from error

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:
        """Write the folder. Only the main process calls it."""
        folder, model = self._path(run), run.models[self.model]
        weights = run.weights.get(self.model)
        if self.merge_adapters:
            model, weights = merge_adapters(model), None
        names = describe_data(run.experiment, model).class_names
        write_pretrained(model, folder, tokenizer=self.tokenizer, weights=weights, class_names=names)
        training = describe_training(
            run.experiment, self.model, results, run.output, license=self.license, datasets=self.datasets
        )
        format_ = "peft" if has_adapters(model) else "transformers"
        saved = Exported(folder, format_, {}, (), "", "" if has_adapters(model) else pipeline_of(model))
        (folder / CARD).write_text(model_card(saved, Sidecar(), self.model, training), encoding="utf-8")


def _shared_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return one number for each parameter with several names, shared by these names."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    shared = [(each, torch.zeros(1, device="cpu")) for each in names.values() if len(each) > 1]
    return {name: number for each, number in shared for name in each}


def _check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be created or written. Nothing is created.

    Raises:
        DistillError: It cannot be written.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        message = f"SavePretrained: the folder {folder} cannot be written: {error.strerror}"
        raise DistillError(message, hint="set `folder` to a folder that can be written") from error


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Hide the progress bars of transformers: nothing is kept of a trial."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
