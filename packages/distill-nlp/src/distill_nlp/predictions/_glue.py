"""Prediction files for GLUE's leaderboard, https://gluebenchmark.com/faq."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from distill_core.data import BatchPlan, Loader, SeedPath, as_loader
from distill_core.errors import DataError
from distill_core.train import Callback, Evaluation, Metric, Run, evaluate

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
"""Task → the name of its file, without `.tsv`; MNLI's mismatched test is `MNLI-mm`."""


def write_glue_predictions(
    task: str, preds: Tensor, folder: str | Path, *, split: str = "test", count: int | None = None
) -> Path:
    """Write the file that the leaderboard takes: `index` and `prediction`, one line per sample in the order of the test.

    Classes are words where GLUE has words for them (MNLI, QNLI, RTE, AX) and numbers elsewhere; STS-B's scores are kept
    between 0 and 5 and written with three decimals.

    Args:
        task: The task.
        preds: (samples, classes) logits; (samples,) or (samples, 1) scores for STS-B.
        folder: Where to.
        split: `test`, or `test_mismatched` of MNLI.
        count: How many samples there have to be.

    Returns:
        The file.

    Raises:
        DataError: The shape does not fit the task, a value is NaN, or samples are missing.
    """
    found = glue_task(task)
    _check(found, preds, count)
    name = "MNLI-mm" if task == "mnli" and split == "test_mismatched" else LEADERBOARD[task]
    path = Path(folder).expanduser() / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    lines = [f"{number}\t{word}\n" for number, word in enumerate(_words(found, preds))]
    unfinished.write_text("index\tprediction\n" + "".join(lines), encoding="utf-8", newline="\n")
    os.replace(unfinished, path)
    return path


@final
class WriteGluePredictions(Callback):
    """Write a leaderboard's file at the end of a run, by the models that the run has chosen.

    Args:
        task: The task; `ax` for a model of MNLI.
        loader: The test split.
        preds: The tap of the logits.
        folder: Where to; `predictions` in the run's folder by default.
        split: `test`, or `test_mismatched` of MNLI.
    """

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
        """Refuse a run that has nowhere to write."""
        if self.folder is None and run.output is None:
            message = "there is no folder for the predictions\n  hint: give `folder`, or run with an output folder"
            raise DataError(message)
        self.loader = as_loader(self.loader)  # not earlier: a check builds the callback without its data

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:  # noqa: ARG002  a callback's signature
        """Predict all samples on the main process, which alone is called, and write."""
        collected = _Collected()
        metric = Metric(metric=collected, inputs={"preds": self.preds, "index": "batch.index"})
        evaluation = Evaluation(loader=_Alone(self.loader), metrics={"count": metric})
        with run.autocast():
            evaluate(run.models, evaluation, run.stage.feed, run.device)
        folder = self.folder if self.folder is not None else run.output
        folder = Path(folder or ".") / ("predictions" if self.folder is None else "")
        preds, count = collected.in_order(), self.loader.num_samples
        write_glue_predictions(self.task, preds, folder, split=self.split, count=count)


class _Alone(Loader):
    """A loader of which one process reads everything, however many there are."""

    def __init__(self, loader: Loader) -> None:
        super().__init__(
            loader.dataset,
            loader.batch_size,
            num_workers=loader.num_workers,
            workers=loader.workers,
            collate=loader.collate,
            fields=loader.fields,
        )

    def plan(self, seed_path: SeedPath, *, even: bool = False, order: Tensor | None = None) -> BatchPlan:  # noqa: ARG002  a loader's signature
        stretches = torch.split(self.order(seed_path) if order is None else order, self.batch_size)
        return BatchPlan(stretches, [len(stretch) for stretch in stretches])


class _Collected:
    """A metric that keeps what it is given."""

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, Tensor]] = []

    def reset(self) -> None:
        self._seen.clear()

    def update(self, preds: Tensor, index: Tensor) -> None:
        self._seen.append((preds.detach().float().cpu(), index.cpu()))

    def compute(self) -> float:
        return float(sum(len(index) for _, index in self._seen))

    def in_order(self) -> Tensor:
        preds, index = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        return preds[torch.argsort(index)]


def _check(task: GlueTask, preds: Tensor, count: int | None) -> None:
    fits = preds.dim() == 2 and preds.shape[1] == task.num_labels
    if not fits and not (task.labels is None and preds.dim() == 1):
        message = f"preds are {tuple(preds.shape)}, not (samples, {task.num_labels}) as {task.name} needs"
        raise DataError(message)
    if bool(preds.isnan().any()):
        message = f"a prediction for {task.name} is NaN"
        raise DataError(message)
    if count is not None and len(preds) != count:
        message = f"{len(preds)} predictions for {count} samples of {task.name}"
        raise DataError(message)


def _words(task: GlueTask, preds: Tensor) -> Sequence[str]:
    if task.labels is None:
        return [f"{score:.3f}" for score in preds.reshape(-1).clamp(0, 5).tolist()]
    return [task.labels[number] for number in preds.argmax(dim=1).tolist()]
