"""Validation after each epoch and the test at the end, with the metrics of torchdistill's scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._context import Context
from ._data import Source
from ._loaders import convert_loader
from ._old import Place
from ._output import Alias, Anchor, Block, Call
from ._stages import Stage, same
from ._text import text_ends, text_metrics

ACCURACY = "distill_vision.metrics.Accuracy"


@dataclass(frozen=True)
class Ends:
    """What follows the stages.

    Attributes:
        data: The loaders for evaluation.
        root: `callbacks` and `test`.
    """

    data: dict[str, Any]
    root: dict[str, Any]


def evaluation(context: Context, old: Place, sources: dict[str, Source], stages: list[Stage]) -> Ends:
    """Return the loaders, callbacks and test of a file."""
    val = next((stage.val for stage in stages if stage.val is not None), None)
    for stage in stages:
        if stage.val is not None and val is not None and not same(stage.val, val):
            context.lost(stage.place, "a validation loader that differs between stages", "add an Evaluate callback")
    test = _test(context, old, sources)
    metrics, best = _metrics(context)
    data: dict[str, Any] = {}
    root: dict[str, Any] = {}
    if val is not None:
        data["val"] = Anchor("val", val)
        evaluate = {"loader": Alias("val"), "metrics": Anchor("metrics", Block(metrics))}
        root["callbacks"] = [
            Call("distill_core.train.Evaluate", Block(evaluate)),
            Call("distill_core.train.Checkpoint", {"best": best}),
            *text_ends(context, old, sources, convert_loader),
        ]
    if test is not None:
        is_val = val is not None and same(test, val)
        if not is_val:
            data["test"] = Anchor("test", test)
        chosen = Alias("metrics") if val is not None else Block(metrics)
        root["test"] = {"loader": Alias("val" if is_val else "test"), "metrics": chosen}
    return Ends(data, root)


def _test(context: Context, old: Place, sources: dict[str, Source]) -> Any:
    found = old.take("test")
    if found is None:
        return None
    if frequency := found.take("log_freq"):
        frequency.omit("the log of an evaluation is written at its end")
    loader = found.take("test_data_loader")
    if loader is None:
        return None
    return context.attempt(loader, lambda: convert_loader(context, sources, loader, training=False))


def _metrics(context: Context) -> tuple[dict[str, Any], str]:
    """Return the metrics of a task, and the one that chooses the epoch."""
    if context.task in ("glue", "text"):
        return text_metrics(context)
    if context.task == "detection":
        metric = Call("distill_vision.metrics.CocoAP", {})
        return {"box": {"metric": metric, "inputs": {"preds": "student", "target": "batch.target"}}}, "box.AP"
    if context.task == "segmentation":
        metric = Call("distill_vision.metrics.SegmentationScores", {"num_classes": 21})
        return {
            "scores": {"metric": metric, "inputs": {"preds": "student:out.out", "target": "batch.target"}}
        }, "scores.miou"
    inputs = {"preds": "student", "target": "batch.target"}
    tops = (1, 5) if context.num_classes >= 5 else (1,)
    return {f"top{k}": {"metric": Call(ACCURACY, {"top_k": k}), "inputs": inputs} for k in tops}, "top1"
