"""Saving of a trained model in the format of transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from distill_core.errors import DistillError, did_you_mean
from distill_core.train import Callback, Run

from ..data import find_tokenizer
from ._outputs import set_use_cache
from ._padding import set_padding


@final
class SavePretrained(Callback):
    """Save the selected weights of a model at the end of a run, for `from_pretrained`.

    The folder has `config.json` and `model.safetensors`, or for PEFT adapters `adapter_config.json` and
    `adapter_model.safetensors`, and optionally the tokenizer's files. The model is saved with the tokenizer's padding
    token, and with the default `use_cache` of its config, because it will generate.

    Args:
        tokenizer: The tokenizer, or its name or folder. None saves only the model.
        model: The name of the model.
        folder: The output folder. Defaults to the name of the model in the run's folder.
    """

    def __init__(self, tokenizer: Any = None, *, model: str = "student", folder: str | Path | None = None) -> None:
        self.tokenizer = find_tokenizer(tokenizer) if tokenizer is not None else None
        self.model, self.folder = model, folder

    def on_fit_start(self, run: Run) -> None:
        """Refuse a run without an output folder or without a model that can be saved, by saving it without weights.

        Raises:
            DistillError: The model does not exist, cannot be saved, does not match the tokenizer, or no output folder is
                set.
        """
        if self.model not in run.models:
            message = f"SavePretrained: there is no model '{self.model}'"
            raise DistillError(message, hint=did_you_mean(self.model, run.models))
        if not hasattr(run.models[self.model], "save_pretrained"):
            kind = type(run.models[self.model]).__name__
            message = f"SavePretrained: '{self.model}' is a {kind}, which has no save_pretrained"
            raise DistillError(message, hint="use a model of transformers or PEFT")
        if self.tokenizer is not None:
            set_padding(run.models[self.model], self.tokenizer)
        self._save_trial(run.models[self.model])
        if self.folder is None and run.output is None:
            message = "SavePretrained: no output folder is set"
            raise DistillError(message, hint="set `folder`, or run with an output folder")

    def _save_trial(self, model: Any) -> None:
        """Save settings and tokenizer in a temporary folder."""
        if hasattr(model, "peft_config"):  # its base model is not saved
            return
        try:
            with tempfile.TemporaryDirectory() as folder:
                model.save_pretrained(folder, state_dict={})
                if self.tokenizer is not None:
                    self.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
        except (ValueError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), "")
            message = f"SavePretrained: '{self.model}' cannot be saved: {reason}"
            hint = "load it without quantization" if getattr(model, "is_quantized", False) else "correct its config"
            raise DistillError(message, hint=hint) from error

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:  # noqa: ARG002 - the signature of a callback
        """Write the folder. Only the main process calls it."""
        folder = Path(self.folder).expanduser() if self.folder is not None else Path(run.output or ".") / self.model
        model: Any = run.models[self.model]
        weights = run.weights.get(self.model)
        with _use_cache_by_default(model):
            model.save_pretrained(folder, state_dict=dict(weights) if weights is not None else None)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]


@contextmanager
def _use_cache_by_default(model: Any) -> Iterator[None]:
    """Set `use_cache` of a config to its class's default, which is for generation, and restore it."""
    config: Any = model.config.get_text_config()
    before, default = (getattr(each, "use_cache", None) for each in (config, type(config)()))
    if before is not None and default is not None:
        set_use_cache(model, default)
    try:
        yield
    finally:
        if before is not None:
            set_use_cache(model, before)
