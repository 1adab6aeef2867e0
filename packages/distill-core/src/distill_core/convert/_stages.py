"""Stages: epochs, data, what learns, optimizer, scheduler and losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ._context import Context
from ._criterion import convert_criterion
from ._data import Source
from ._loaders import convert_loader
from ._old import LostError, Place
from ._optimizers import convert_optimizer, convert_scheduler
from ._output import Block, flow
from ._sides import Side
from ._terms import Objects, Term
from ._wrappers import convert_side

PROCESSES = ("pre_epoch_process", "pre_forward_process", "post_forward_process", "post_epoch_process")


@dataclass
class Stage:
    """A stage of the new file.

    Attributes:
        place: Its place.
        fields: Its keys in order.
        loader: Its training loader.
        train: Globs of what learns.
        is_default: Whether that is everything that learns by default.
    """

    place: Place
    fields: dict[str, Any] = field(default_factory=dict)
    loader: Any = None
    val: Any = None
    train: list[str] = field(default_factory=list)
    is_default: bool = True


def convert_stages(context: Context, train: Place, sources: dict[str, Source], models: list[str]) -> list[Stage]:
    """Return the stages of `train`."""
    names = [key for key, _ in train.raw_entries() if key.startswith("stage")]
    places = [train.need(name) for name in names] or [train]
    objects, stages = Objects(), list[Stage]()
    for place in places:
        stages.append(_stage(context, place, sources, models, objects, stages[-1] if stages else None))
    if not all(stage.is_default for stage in stages):
        for stage in stages:
            stage.fields["train"] = stage.train
    order = (
        "epochs",
        "data",
        "train",
        "modes",
        "stop_early",
        "accumulate",
        "optimizer",
        "groups",
        "scheduler",
        "scheduler_step",
    )
    for stage in stages:
        stage.fields = {key: stage.fields[key] for key in (*order, *stage.fields) if key in stage.fields}
    return stages


def redesigned(train: Place) -> set[str]:
    """Return the sides of which a stage runs a sequence of modules, without marking anything as read."""
    stages = [place for key, place in train.raw_entries() if key.startswith("stage")] or [train]
    pairs = [
        (key, side) for stage in stages if stage.is_mapping for key, side in stage.raw_entries() if side.is_mapping
    ]
    return {
        "student" if key == "model" else key
        for key, side in pairs
        if key in ("teacher", "student", "model")
        and any(name == "sequential" and one.node.value for name, one in side.raw_entries())
    }


def _stage(
    context: Context,
    place: Place,
    sources: dict[str, Source],
    models: list[str],
    objects: Objects,
    before: Stage | None,
) -> Stage:
    stage = Stage(place, Block({"epochs": place.need("num_epochs", "epochs").integer()}))
    context.exact(place, f"{stage.fields['epochs']} epochs")
    _loaders(context, stage, sources, before)
    for key in PROCESSES:
        if (found := place.take(key)) and not found.text().startswith("default_"):
            context.lost(found, f"the function '{found.text()}'", "write a callback")
    student = _model_side(context, place, "student", "model") or Side(context, "student", place, wrapper="EmptyModule")
    teacher = _model_side(context, place, "teacher") if "teacher" in models else None
    _optimization(context, stage, before)
    size = _batch_size(stage, before)
    criterion = place.need("criterion")
    terms = convert_criterion(context, criterion, student, teacher, objects, size)
    if not terms:
        context.lost(criterion, "no term of the criterion could be converted")
    stage.fields["losses"] = Block({term.name: context.commented(criterion, term.entry()) for term in terms})
    stage.train, stage.is_default = _trained(student, terms)
    if terms and not stage.train:
        context.lost(place, "nothing learns in this stage", "remove the stage, or let a model learn")
    if student.sequence or student.wrapper == "HeadRCNN":
        stage.fields["stop_early"] = True  # theirs builds a model that ends there
        _compare_ends(context, student, terms)
    elif before is not None and before.fields.get("stop_early"):
        stage.fields["stop_early"] = None
    _feed(context, stage, student, teacher, models)
    if teacher is not None:
        teacher.require_frozen()
        message = "the teacher is in eval mode; theirs stays in train mode, with statistics of the batch"
        context.corrected(teacher.place, message, published="the teacher stays in train mode, as in torchdistill")
        if context.as_published:
            stage.fields["modes"] = {"teacher": "train"}
    return stage


def _compare_ends(context: Context, student: Side, terms: list[Term]) -> None:
    """Report what theirs runs behind the last tap, where ours stops."""
    wired = [taps for term in terms for taps in term.inputs.values()]
    taps = [tap for one in wired for tap in ([one] if isinstance(one, str) else one)]
    if (behind := student.behind(taps)) and student.sequence_place is not None and student.name not in taps:
        rest = ", ".join(behind)
        message = (
            f"the student stops behind its last tap; theirs also runs {rest}, which updates batch statistics there"
        )
        context.corrected(student.sequence_place, message)


def _loaders(context: Context, stage: Stage, sources: dict[str, Source], before: Stage | None) -> None:
    if loader := stage.place.take("train_data_loader"):
        stage.loader = context.attempt(loader, partial(convert_loader, context, sources, loader, training=True))
    elif before is None:
        context.lost(stage.place, "the first stage has no 'train_data_loader'")
    if loader := stage.place.take("val_data_loader"):
        stage.val = context.attempt(loader, partial(convert_loader, context, sources, loader, training=False))


def _batch_size(stage: Stage, before: Stage | None) -> int:
    loader = stage.loader or (before.loader if before else None)
    if stage.loader is None and before is not None:
        stage.loader = before.loader
    return int(loader.args["batch_size"]) if loader is not None else 1


def _model_side(context: Context, place: Place, *keys: str) -> Side | None:
    found = place.take(*keys)
    if found is None:
        return None
    side = Side(context, keys[0], found)
    return context.attempt(found, lambda: convert_side(context, keys[0], found)) or side


def _optimization(context: Context, stage: Stage, before: Stage | None) -> None:
    optimizer = stage.place.take("optimizer")
    if optimizer is None and before is None:
        raise LostError(stage.place, "the first stage has no optimizer")
    if optimizer is not None:
        stage.fields |= context.attempt(optimizer, lambda: convert_optimizer(context, optimizer)) or {}
    scheduler = stage.place.take("scheduler")
    if scheduler is not None:
        stage.fields |= context.attempt(scheduler, lambda: convert_scheduler(context, scheduler, stage.fields)) or {}
    elif optimizer is not None and before is not None:
        stage.fields["scheduler"] = None
    if before is not None:
        for key, value in (("groups", None), ("accumulate", 1), ("clip_grad_norm", None)):
            if optimizer is not None and key in before.fields and key not in stage.fields:
                stage.fields[key] = value
        if "scheduler" in stage.fields and "scheduler_step" in before.fields and "scheduler_step" not in stage.fields:
            stage.fields["scheduler_step"] = "epoch"


def _trained(student: Side, terms: list[Term]) -> tuple[list[str], bool]:
    """Return globs of what learns, and whether it is what learns by default."""
    models = student.trained()
    losses = [f"losses.{term.name}" + (f".{path}" if path else "") for term in terms for path in term.learns]
    learned = {path for term in terms for path in term.learns}
    is_default = models == ["student"] and learned <= {"", "student"}
    return [*models, *losses], is_default


def _feed(context: Context, stage: Stage, student: Side, teacher: Side | None, models: list[str]) -> None:
    """Write the wiring of the models' inputs where it is not the default."""
    if context.task == "detection":
        training = {"images": "batch.input", "targets": "batch.target"}
        own = training if context.as_published else {"images": "batch.input"}  # a detector in train mode needs targets
        stage.fields["feed"] = {**({"teacher": own} if "teacher" in models else {}), "student": training}
    elif context.task in ("glue", "text"):
        fields = {name: f"batch.{name}" for name in context.text.fields}
        stage.fields["feed"] = dict.fromkeys((*(["teacher"] if "teacher" in models else []), "student"), fields)
    elif any(side is not None and side.forward == "forward_batch_target" for side in (student, teacher)):
        context.lost(stage.place, "a model that takes the labels as second input", "write `feed:`")


def same(one: Any, other: Any) -> bool:
    """Return whether two values of the new file are the same text."""
    return flow(one) == flow(other)
