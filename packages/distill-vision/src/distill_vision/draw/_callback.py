"""Callback that draws predictions at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from distill_core.data import Loader, SeedPath, as_loader
from distill_core.experiment import Evaluation, Metric
from distill_core.train import Callback, evaluate

from ._pictures import Pictures


@final
class DrawPredictions(Callback):
    """Draws the first images of a dataset with ground truth and prediction into `pictures/` of the run's folder, at the end.

    Args:
        loader: A `Loader` or `DataLoader`; the first images that it reads are drawn. If its dataset has `names` (label → name)
            or `classes`, they name the classes.
        inputs: The taps for `image`, `preds` and `target` of `Pictures`.
        count: Number of images.
        threshold: Least score of the boxes to draw.
    """

    on_every_process: ClassVar[bool] = True

    def __init__(self, loader: Any, inputs: Mapping[str, str], *, count: int = 8, threshold: float = 0.5) -> None:
        self.loader = loader
        self.inputs = inputs
        self.count = count
        self.threshold = threshold

    def on_fit_end(self, trainer: Any, results: dict[str, Any]) -> None:
        """Draw the pictures if the run has a folder."""
        del results
        if trainer.output is None:
            return
        loader = as_loader(self.loader)
        first = loader.order(SeedPath())[: self.count].tolist()
        few = Loader(loader.dataset, loader.batch_size, sampler=first, collate=loader.collate, fields=loader.fields)
        names = _names(loader.dataset)
        pictures = Pictures(trainer.output / "pictures", self.count, self.threshold, names)
        drawing = Evaluation(loader=few, metrics={"pictures": Metric(metric=pictures, inputs=self.inputs)})
        with trainer.autocast():
            evaluate(trainer.models, drawing, trainer.stage.feed, trainer.device, whole=True)


def _names(dataset: Any) -> Mapping[int, str] | None:
    """Return label → name, if the dataset or its masks know the names."""
    if isinstance(names := getattr(dataset, "names", None), Mapping):
        return names
    classes = getattr(dataset, "classes", None) or getattr(getattr(dataset, "mask", None), "classes", None)
    return dict(enumerate(classes)) if classes else None
