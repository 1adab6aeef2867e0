"""A trained model as transformers keeps its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from distill_core.errors import DistillError, did_you_mean
from distill_core.train import Callback, Run

from ..data import find_tokenizer
from ._padding import set_padding


@final
class SavePretrained(Callback):
    """Write a model at the end of a run, as the run has chosen it, so that `from_pretrained` reads it anywhere.

    The folder has `config.json` and `model.safetensors`, for adapters of PEFT `adapter_config.json` and
    `adapter_model.safetensors`, and with a tokenizer its files. The model is saved with the tokenizer's padding token.

    Args:
        tokenizer: Its tokenizer, or the tokenizer's name or folder; only the model is written if left out.
        model: Which of the models.
        folder: Where to; a folder called as the model in the run's folder by default.
    """

    def __init__(self, tokenizer: Any = None, *, model: str = "student", folder: str | Path | None = None) -> None:
        self.tokenizer = find_tokenizer(tokenizer) if tokenizer is not None else None
        self.model, self.folder = model, folder

    def on_fit_start(self, run: Run) -> None:
        """Refuse a run that has nothing to write or nowhere to write it.

        Raises:
            DistillError: There is no such model, it is none of transformers, the tokenizer does not fit it, or there is
                no folder.
        """
        if self.model not in run.models:
            message = (
                f"SavePretrained: there is no model '{self.model}'\n  hint: {did_you_mean(self.model, run.models)}"
            )
            raise DistillError(message)
        if not hasattr(run.models[self.model], "save_pretrained"):
            kind = type(run.models[self.model]).__name__
            message = f"SavePretrained: '{self.model}' is a {kind}, which has no save_pretrained\n  hint: only models of transformers and PEFT have"
            raise DistillError(message)
        if self.tokenizer is not None:
            set_padding(run.models[self.model], self.tokenizer)
        if self.folder is None and run.output is None:
            message = (
                "SavePretrained: there is no folder for the model\n  hint: give `folder`, or run with an output folder"
            )
            raise DistillError(message)

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:  # noqa: ARG002  a callback's signature
        """Write the folder; only the main process is called."""
        folder = Path(self.folder).expanduser() if self.folder is not None else Path(run.output or ".") / self.model
        model: Any = run.models[self.model]
        model.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
