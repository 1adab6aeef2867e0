"""Pictures of what the student finds, at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from torch.utils.data import Subset

from distill_core.data import Loader, SeedPath, as_loader
from distill_core.experiment import Evaluation, Metric
from distill_core.train import Callback, evaluate

from ._pictures import Pictures


@final
class DrawPredictions(Callback):
    """After the last epoch the first images of a data set, with truth and prediction, in `pictures/` of the run's folder.

    Args:
        loader: A `Loader` or `DataLoader` of the images, of which the first that it reads are drawn; if its data set has
            `names`, boxes' classes are called by them.
        inputs: Where `image`, `preds` and `target` of `Pictures` come from.
        count: How many images.
        threshold: Boxes with a lower score are not drawn.
    """

    def __init__(self, loader: Any, inputs: Mapping[str, str], *, count: int = 8, threshold: float = 0.5) -> None:
        self.loader = loader
        self.inputs = inputs
        self.count = count
        self.threshold = threshold

    def on_fit_end(self, trainer: Any, results: dict[str, Any]) -> None:
        """Draw, if the run has a folder."""
        del results
        if trainer.output is None:
            return
        loader = as_loader(self.loader)
        first = loader.order(SeedPath())[: self.count].tolist()
        few = Loader(Subset(loader.dataset, first), loader.batch_size, collate=loader.collate, fields=loader.fields)
        names = getattr(loader.dataset, "names", None)
        pictures = Pictures(trainer.output / "pictures", self.count, self.threshold, names)
        drawing = Evaluation(loader=few, metrics={"pictures": Metric(metric=pictures, inputs=self.inputs)})
        # Not `trainer.evaluate`: this is the main process alone, and the others would not join in.
        evaluate(trainer.models, drawing, trainer.stage.feed, trainer.device)
