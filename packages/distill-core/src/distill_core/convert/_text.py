"""GLUE: the task, the models and tokenizers of transformers, and the files for the leaderboard."""

from __future__ import annotations

from typing import Any

from ._context import Context
from ._data import Batches, Source
from ._hub_text import hub_metrics, hub_sources
from ._old import LostError, Place
from ._output import Call
from ._text_task import LOSSES

TASKS = {
    "cola": "matthews",
    "sst2": "accuracy",
    "mrpc": "f1",
    "stsb": "pearson",
    "qqp": "f1",
    "mnli": "accuracy",
    "qnli": "accuracy",
    "rte": "accuracy",
    "wnli": "accuracy",
    "ax": "matthews",
}
"""GLUE task → the metric that chooses the epoch."""

SPLITS = {
    "train": "train",
    "validation": "val",
    "validation_matched": "val",
    "validation_mismatched": "val_mismatched",
    "test": "test",
    "test_matched": "test",
    "test_mismatched": "test_mismatched",
}
"""Split on the hub → split of `distill_nlp.data.glue`."""


OMITTED = {
    "base_split_name": "columns and classes are those of the task",
    "pad_to_max_length": "padding to the longest text of a batch gives the same numbers, faster",
}
"""Settings of a task that change no number → why."""


def text_sources(context: Context, place: Place) -> dict[str, Source]:
    """Return the splits of GLUE by their ids; empty if the datasets are others.

    Raises:
        LostError: The datasets come from the hub in a way that has no counterpart.
    """
    if place.tag:
        return hub_sources(context, place)
    entries = dict(place.raw_entries())
    if not any(key in entries for key in ("glue", "glue_ax")):
        return {}
    context.task = "glue"
    sources: dict[str, Source] = {}
    for key in ("glue", "glue_ax"):
        if entry := place.take(key):
            sources |= _splits(context, entry, is_main=key == "glue")
    return sources


def _splits(context: Context, entry: Place, *, is_main: bool) -> dict[str, Source]:
    name = entry.need("name", "key")
    task = name.text()
    if task not in TASKS:
        raise LostError(name, f"there is no GLUE task '{task}'", f"choose from {', '.join(TASKS)}")
    if is_main:
        context.text.name = task
    raw = entry.mapping("raw_data_kwargs")
    for key in ("train_file_path", "valid_file_path"):
        if file := raw.take(key):
            raise LostError(file, "local files of GLUE by path", "lay them out as GLUE's archive and set `root`")
    for key in ("base_split_name", "pad_to_max_length"):
        if found := entry.take(key):
            found.omit(OMITTED[key])
    length = entry.take("max_length")
    limit = length.integer() if length else 128
    result = {}
    for split, identifier in entry.need("dataset_id_map").entries().items():
        if split not in SPLITS:
            raise LostError(identifier, f"the split '{split}'", f"choose from {', '.join(SPLITS)}")
        result[identifier.text()] = _source(entry, task, SPLITS[split], limit)
    return result


def _source(place: Place, task: str, split: str, limit: int) -> Source:
    def loader(context: Context, batches: Batches) -> Any:
        if split != "train" and batches.shuffle:
            raise LostError(batches.place, "a shuffled evaluation")
        arguments: dict[str, Any] = {"task": task, "split": split, "tokenizer": context.text.tokenizer}
        arguments |= {"batch_size": batches.options["batch_size"], "hub": "nyu-mll/glue", "max_length": limit}
        if split == "train" and not batches.shuffle:
            arguments["shuffle"] = False
        if batches.options.get("drop_last"):
            raise LostError(batches.place, "'drop_last: True' with GLUE")
        return Call("distill_nlp.data.glue", arguments | batches.only("num_workers"))

    return Source(place, "glue", loader)


def convert_text_models(context: Context, place: Place) -> dict[str, Any]:
    """Return the models of transformers."""
    found = {
        name: model
        for name, keys in (("teacher", ("teacher_model",)), ("student", ("student_model", "model")))
        if (model := place.take(*keys))
    }
    if "student" not in found:
        raise LostError(place, "there is no 'student_model' and no 'model'")
    models = {}
    for name, entry in found.items():
        models[name] = context.commented(entry, _model(context, entry, is_teacher=name == "teacher"))
    return models


def _model(context: Context, place: Place, *, is_teacher: bool) -> Call:
    config, tokenizer = place.mapping("config_kwargs"), place.mapping("tokenizer_kwargs")
    own = place.mapping("model_kwargs")
    for key in ("key", "name", "model_name_or_path", "experiment", "task_name"):
        if label := place.take(key):
            label.omit("a name for files")
    path = own.need("pretrained_model_name_or_path").text()
    labels, problem = config.take("num_labels") or place.take("num_labels"), config.take("problem_type")
    _tokenizer(context, config, tokenizer, is_teacher=is_teacher)
    count = labels.integer() if labels else None
    context.text.num_labels = count or context.text.num_labels
    if not is_teacher:
        context.text.tokenizer = context.text.tokenizer or path
        kind = problem.text() if problem else "regression" if count == 1 else "single_label_classification"
        context.text.loss = LOSSES[kind]
    elif problem:
        problem.omit("it chooses the loss that the model reports, which nothing reads of a teacher")
    path = _checkpoints(context, place, path)
    arguments: dict[str, Any] = {"auto_class": "AutoModelForSequenceClassification", "name_or_path": path}
    if count is not None:
        arguments["num_labels"] = count
    if not is_teacher:
        arguments["new_head"] = True
    context.exact(place, f"{path} of transformers")
    return Call("distill_nlp.models.from_pretrained", arguments)


def _checkpoints(context: Context, place: Place, path: str) -> str:
    """Return the folder that a model is read from."""
    if source := place.take("src_ckpt"):
        path = source.text()
        context.exact(source, "a folder of save_pretrained")
    if written := place.take("dst_ckpt"):
        context.exact(written, f"SavePretrained writes the student to the run's folder instead of {written.text()}")
    return path


def _tokenizer(context: Context, config: Place, tokenizer: Place, *, is_teacher: bool) -> None:
    """Read the settings of the tokenizer; the student's is that of the data."""
    for settings in (config, tokenizer):
        if same := settings.take("pretrained_model_name_or_path"):
            name = same.text()
            if settings is tokenizer and not is_teacher:
                context.text.tokenizer = name
    if lower := tokenizer.take("do_lower"):
        lower.omit("transformers reads 'do_lower_case' only")
    if fast := tokenizer.take("use_fast"):
        fast.omit("both implementations give the same tokens")
    if task := config.take("finetuning_task"):
        task.omit("a note in the model's configuration")


def text_metrics(context: Context) -> tuple[dict[str, Any], str]:
    """Return the metrics of a task, and the one that chooses the epoch."""
    if context.task == "text":
        return hub_metrics(context)
    metric = Call("distill_nlp.metrics.GlueMetric", {"task": context.text.name})
    inputs = {"preds": "student:out.logits", "target": "batch.target"}
    return {"glue": {"metric": metric, "inputs": inputs}}, f"glue.{TASKS.get(context.text.name, 'accuracy')}"


def text_ends(context: Context, old: Place, sources: dict[str, Source], loader_of: Any) -> list[Any]:
    """Return the callbacks that save the model and write files for the leaderboard."""
    if context.task not in ("glue", "text"):
        return []
    callbacks = [Call("distill_nlp.models.SavePretrained", {"tokenizer": context.text.tokenizer})]
    private = old.take("private")
    for entry in private.items() if private else []:
        with context.losing(entry):
            loader = entry.need("private_data_loader")
            task = loader.take("task_name")
            name = task.text() if task else context.text.name
            if (names := entry.take("idx2str")) and not names.flag():
                raise LostError(names, "numbers instead of the names of classes", "the leaderboard takes names")
            if output := entry.take("pred_output"):
                output.omit("the file is in the run's folder, with the name that the leaderboard wants")
            made = loader_of(context, sources, loader, training=False)
            split = {"split": "test_mismatched"} if made.args["split"] == "test_mismatched" else {}
            callbacks.append(
                Call("distill_nlp.predictions.WriteGluePredictions", {"task": name, "loader": made, **split})
            )
    return callbacks
