"""A whole file of torchdistill as a file of ours, and its recognition by its keys."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from ._context import MALFORMED, Context, malformed
from ._data import Source, convert_source
from ._evaluation import evaluation
from ._models import convert_model
from ._old import LostError, Old, Place
from ._output import Block, text
from ._report import Report
from ._stages import Stage, convert_stages, redesigned, same
from ._text import convert_text_models, text_sources
from ._unread import unread

_TOP = re.compile(r"^(datasets|models|train|test)\s*:", re.MULTILINE)
_OURS = re.compile(r"^(stages|data|base)\s*:", re.MULTILINE)
_THEIRS = re.compile(
    r"^\s+(train_data_loader|student_model|teacher_model|forward_proc|criterion|sub_terms)\s*:", re.MULTILINE
)


def is_torchdistill(text: str) -> bool:
    r"""Return whether a text has the keys of a file of torchdistill and not those of ours.

    >>> is_torchdistill("models:\n  student_model:\ntrain:\n  criterion:\n"), is_torchdistill("models: {}\nstages: []\n")
    (True, False)
    """
    has_top = {"models", "train"} <= set(_TOP.findall(text))
    return has_top and not _OURS.search(text) and _THEIRS.search(text) is not None


@dataclass(frozen=True)
class Converted:
    """A converted file.

    Attributes:
        text: The new file.
        report: What became of each place.
    """

    text: str
    report: Report


def convert_torchdistill(path: str | os.PathLike[str], *, as_published: bool = False) -> Converted:
    """Return a file of torchdistill as a file of ours, and what became of each of its places.

    Nothing that the file names is imported or called.

    Args:
        path: The old file.
        as_published: Keep torchdistill's numbers where the paper says otherwise.

    Raises:
        ConfigError: The file does not exist or is not YAML.
    """
    old = Old(path)
    context = Context(old, as_published)
    root: dict[str, Any] = {}
    ended = ""
    try:
        root = _convert(context)
    except LostError as error:
        context.lost(error.place, error.message, error.hint)
        ended = f"line {error.place.line} could not be converted, and this depends on it"
    except MALFORMED as error:
        context.lost(old.root, malformed(error))
    text(root)  # what is copied as a whole is read now
    for place, message in old.omitted:
        context.exact(place, message)
    for place, reason in unread(old):
        context.lost(place, ended or reason, "" if ended else "remove it, or write its counterpart by hand")
    return Converted(_with_comments(context, root), context.report)


def _convert(context: Context) -> dict[str, Any]:
    old = context.old.root
    if dependencies := old.take("dependencies"):
        dependencies.omit("what the examples register is known, and anything else is lost where it is used")
    sources = _sources(context, old.need("datasets"))
    train = old.need("train")
    context.redesigned = redesigned(train)
    models = _models(context, old.need("models"))
    root: dict[str, Any] = {}
    if frequency := train.take("log_freq"):
        root["log_every"] = frequency.integer()
    root["models"] = Block(models)
    stages = convert_stages(context, train, sources, list(models))
    ends = evaluation(context, old, sources, stages)
    for key, entry in old.need("datasets").raw_entries() if context.task not in ("glue", "text") else ():
        if key not in context.used and not key.startswith("_"):
            entry.omit("no loader uses it")
    root["data"] = Block({"train": stages[0].loader} | ends.data)
    for before, stage in pairwise(stages):
        if not same(before.loader, stage.loader):
            stage.fields = _with_data(stage)
    root["stages"] = [context.commented(stage.place, Block(stage.fields)) for stage in stages]
    return root | ends.root


def _with_data(stage: Stage) -> dict[str, Any]:
    return Block({"epochs": stage.fields["epochs"], "data": stage.loader, **stage.fields})


def _sources(context: Context, place: Place) -> dict[str, Source]:
    if text := text_sources(context, place):
        return text
    sources: dict[str, Source] = {}
    for key, entry in place.entries().items():
        source = context.attempt(entry, partial(convert_source, entry))
        if source is not None:
            sources[key] = source
            context.task = source.task
    return sources


def _models(context: Context, place: Place) -> dict[str, Any]:
    if context.task in ("glue", "text"):
        return convert_text_models(context, place)
    models: dict[str, Any] = {}
    for name, keys in (("teacher", ("teacher_model",)), ("student", ("student_model", "model"))):
        if found := place.take(*keys):
            model = context.attempt(found, partial(convert_model, context, name, found))
            models[name] = context.commented(found, model)
    if "student" not in models:
        raise LostError(place, "there is no 'student_model' and no 'model'")
    return models


def _with_comments(context: Context, root: dict[str, Any]) -> str:
    """Return the text with the comments at its top, and the lost places."""
    lines = [*context.old.comments.header, *context.old.comments.rest()]
    lines += [f"lost, line {finding.line}: {finding.place}: {finding.message}" for finding in context.report.lost]
    head = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return (f"{head}\n" if head else "") + text(root)
