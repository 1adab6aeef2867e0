"""Texts of the hub that a file loads with `datasets`, as files of `distill_nlp.data.text_classification`."""

from __future__ import annotations

from typing import Any

from ._context import Context
from ._data import Batches, Source
from ._objects import named
from ._old import LostError, Place
from ._output import Call
from ._text_task import LOSSES

OMITTED = {
    "pad_to_max_length": "padding to the longest text of a batch gives the same numbers, faster",
    "base_split_name": "columns and classes are named in the new file",
    "batched": "it changes the speed only",
    "try_original_type": "it changes the speed only",
}
"""Settings of `preprocess` that change no number → why."""


def hub_sources(context: Context, place: Place) -> dict[str, Source]:
    """Return the splits of a dataset of the hub by their ids.

    Raises:
        LostError: It is not loaded with `datasets.load_dataset`.
    """
    context.task = "text"
    found = named(place)
    if found.path != "datasets.load_dataset" or "path" not in found.kwargs:
        raise LostError(place, f"texts of '{found.path}'", "save them and write distill_nlp.data.text_classification")
    found.refuse_args()
    if "trust_remote_code" in found.kwargs:
        found.kwargs["trust_remote_code"].omit("no code of the hub runs")
    if unknown := found.kwargs.keys() - {"path", "name", "trust_remote_code"}:
        raise LostError(
            found.kwargs[unknown.pop()], "a selection of a dataset of the hub", "save what you need as files"
        )
    folder = f"data/{found.value('path').rpartition('/')[2]}"
    subset = f" of '{found.value('name')}'" if "name" in found.kwargs else ""
    context.exact(
        place, f"save the parquet files{subset} that the hub has for each split in {folder}: train.parquet, …"
    )
    settings = context.old.root.need("preprocess")
    for key, reason in OMITTED.items():
        if given := settings.take(key):
            given.omit(reason)
    length = settings.take("max_length")
    arguments = {
        "columns": settings.need("text_keys").plain(),
        "target": settings.need("label_key").text(),
        "max_length": length.integer() if length else 128,
    }
    splits = settings.need("dataset_id_map").entries()
    return {name: _source(split, f"{folder}/{split.text()}.parquet", arguments) for name, split in splits.items()}


def _source(place: Place, file: str, arguments: dict[str, Any]) -> Source:
    def loader(context: Context, batches: Batches) -> Any:
        if batches.options.get("drop_last"):
            raise LostError(batches.place, "'drop_last: True' with texts")
        several = {"several": True} if _has_several(context) else {}
        shuffle = {"shuffle": True} if batches.shuffle else {}
        made = {
            "file": file,
            "tokenizer": context.text.tokenizer,
            "batch_size": batches.options["batch_size"],
            "labels": [str(label) for label in range(context.text.num_labels)],
            **arguments,
        }
        return Call("distill_nlp.data.text_classification", made | several | shuffle | batches.only("num_workers"))

    return Source(place, "text", loader)


def _has_several(context: Context) -> bool:
    return context.text.loss == LOSSES["multi_label_classification"]


def hub_metrics(context: Context) -> tuple[dict[str, Any], str]:
    """Return the metrics of a dataset of the hub, and the one that chooses the epoch."""
    root = context.old.root
    thresholds: Any = None
    if asked := root.take("evaluate"):
        thresholds = _thresholds(context, asked)
    for key in ("metric", "metrics"):
        if given := root.take(key):
            context.lost(
                given,
                f"`{given.source}`, of the library evaluate",
                "add it to `metrics` if the one written is not enough",
            )
            given.ignore()
    inputs = {"preds": "student:out.logits", "target": "batch.target"}
    if not _has_several(context):
        return {"accuracy": {"metric": Call("distill_nlp.metrics.Accuracy", {}), "inputs": inputs}}, "accuracy"
    chosen = {} if thresholds is None else {"threshold": thresholds}
    metric = Call("distill_nlp.metrics.MultiLabelF1", {"num_labels": context.text.num_labels, **chosen})
    return {"labels": {"metric": metric, "inputs": inputs}}, "labels.macro_f1"


def _thresholds(context: Context, place: Place) -> Any:
    """Return the thresholds of the first metric that has them; the rest of `evaluate` belongs to the lost metrics."""
    found: Any = None
    metrics = place.take("metrics")
    for entry in metrics.entries().values() if metrics else ():
        if (given := entry.take("thresholds")) and found is None:
            found = given.plain()
            context.exact(given, "`threshold` of MultiLabelF1")
    place.ignore()
    context.lost(
        place, f"`{place.source}`, how the library's metrics are used", "MultiLabelF1 and its thresholds are written"
    )
    return found
