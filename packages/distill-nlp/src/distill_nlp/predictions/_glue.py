"""Prediction files for GLUE's leaderboard, https://gluebenchmark.com/faq."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from distill_core.data import as_loader
from distill_core.errors import DataError
from distill_core.train import Callback, Evaluation, Metric, Run, evaluate

from .._atomic import atomic_path
from ..data import GlueTask, glue_task

LEADERBOARD = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "mrpc": "MRPC",
    "stsb": "STS-B",
    "qqp": "QQP",
    "mnli": "MNLI-m",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
    "ax": "AX",
}
"""Task → file name without `.tsv`. MNLI's mismatched test is `MNLI-mm`."""


def write_glue_predictions(
    task: str, preds: Tensor, folder: str | Path, *, split: str = "test", count: int | None = None
) -> Path:
    """Write a leaderboard file: `index` and `prediction`, one line per sample in the order of the test split.

    Classes are class names for MNLI, QNLI, RTE and AX, and class indices otherwise. STS-B's scores are clamped to [0, 5]
    and written with three decimals.

    Args:
        task: The task.
        preds: (samples, classes) logits, or (samples,) or (samples, 1) scores for STS-B.
        folder: The output folder.
        split: `test`, or `test_mismatched` of MNLI.
        count: The expected number of samples.

    Returns:
        The file.

    Raises:
        DataError: The shape does not match the task, a value is NaN, or samples are missing.
    """
    known = glue_task(task)
    _check(known, preds, count)
    name = "MNLI-mm" if task == "mnli" and split == "test_mismatched" else LEADERBOARD[task]
    path = Path(folder).expanduser() / f"{name}.tsv"
    lines = [f"{index}\t{word}\n" for index, word in enumerate(_words(known, preds))]
    with atomic_path(path) as unfinished:
        unfinished.write_text("index\tprediction\n" + "".join(lines), encoding="utf-8", newline="\n")
    return path


@final
class WriteGluePredictions(Callback):
    """Write a leaderboard file at the end of a run, with the selected models.

    Args:
        task: The task, `ax` for a model of MNLI.
        loader: The test split.
        preds: The tap of the logits.
        folder: The output folder. Defaults to `predictions` in the run's folder.
        split: `test`, or `test_mismatched` of MNLI.
    """

    on_every_process: ClassVar[bool] = True

    def __init__(
        self,
        task: str,
        loader: Any,
        *,
        preds: str = "student:out.logits",
        folder: str | Path | None = None,
        split: str = "test",
    ) -> None:
        glue_task(task)
        self.task, self.loader, self.preds, self.folder, self.split = task, loader, preds, folder, split

    def on_fit_start(self, run: Run) -> None:
        """Refuse a run without an output folder."""
        if self.folder is None and run.output is None:
            message = "WriteGluePredictions: no output folder is set"
            raise DataError(message, hint="set `folder`, or run with an output folder")
        self.loader = as_loader(self.loader)  # not in __init__: a check builds the callback without its data

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:  # noqa: ARG002 - the signature of a callback
        """Predict all samples on every process, and write the file on the main process."""
        collected = _Collected()
        metric = Metric(metric=collected, inputs={"preds": self.preds, "index": "batch.index"})
        evaluation = Evaluation(loader=self.loader, metrics={"count": metric})
        with run.autocast():
            evaluate(run.models, evaluation, run.stage.feed, run.device, whole=True)
        if not run.is_main:
            return
        folder = self.folder if self.folder is not None else run.output
        folder = Path(folder or ".") / ("predictions" if self.folder is None else "")
        preds, count = collected.in_order(), self.loader.num_samples
        write_glue_predictions(self.task, preds, folder, split=self.split, count=count)


class _Collected:
    """A metric that collects the predictions."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor]] = []

    def reset(self) -> None:
        self._batches.clear()

    def update(self, preds: Tensor, index: Tensor) -> None:
        self._batches.append((preds.detach().float().cpu(), index.cpu()))

    def compute(self) -> float:
        return float(sum(len(index) for _, index in self._batches))

    def in_order(self) -> Tensor:
        preds, index = (torch.cat(tensors) for tensors in zip(*self._batches, strict=True))
        return preds[torch.argsort(index)]


def _check(task: GlueTask, preds: Tensor, count: int | None) -> None:
    matches = preds.dim() == 2 and preds.shape[1] == task.num_labels
    if not matches and not (task.labels is None and preds.dim() == 1):
        message = f"`preds` of {task.name} must be (samples, {task.num_labels}), got {tuple(preds.shape)}"
        raise DataError(message)
    if bool(preds.isnan().any()):
        message = f"`preds` of {task.name} must not be NaN"
        raise DataError(message)
    if count is not None and len(preds) != count:
        message = f"`preds` of {task.name} must have {count} samples, got {len(preds)}"
        raise DataError(message)


def _words(task: GlueTask, preds: Tensor) -> Sequence[str]:
    if task.labels is None:
        return [f"{score:.3f}" for score in preds.reshape(-1).clamp(0, 5).tolist()]
    return [task.labels[index] for index in preds.argmax(dim=1).tolist()]
