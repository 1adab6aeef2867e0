"""Optimizers and schedulers."""

from __future__ import annotations

from typing import Any

from ._context import Context
from ._objects import named
from ._old import LostError, Place
from ._output import Call

NO_DECAY = ("bias", "LayerNorm.weight")
TRANSFORMERS = "get_"
OPTIMIZERS = {
    "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "ASGD", "Adagrad", "Adadelta", "Adafactor", "SparseAdam", "LBFGS",
}  # fmt: skip
SCHEDULERS = {
    "MultiStepLR", "StepLR", "LambdaLR", "MultiplicativeLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
    "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "CyclicLR", "ReduceLROnPlateau",
}  # fmt: skip
PER_STEP = {"OneCycleLR", "CyclicLR"}


def convert_optimizer(context: Context, place: Place) -> dict[str, Any]:
    """Return `optimizer`, `groups`, `accumulate` and `clip_grad_norm` of a stage."""
    key, kwargs = place.need("key", "type").text(), place.mapping("kwargs", "params")
    arguments = kwargs.given()
    fields: dict[str, Any] = {}
    if key == "optimizer_no_decay":
        key = arguments.pop("optimizer_key")
        names = arguments.pop("no_decay", list(NO_DECAY))
        if arguments.get("weight_decay"):
            fields["groups"] = {f"student*.{name}": {"weight_decay": 0.0} for name in names}
    if key not in OPTIMIZERS:
        raise LostError(place, f"the optimizer '{key}'", "name its import path with !import_partial")
    fields["optimizer"] = Call(f"torch.optim.{key}", arguments, "import_partial")
    if filters := place.take("filters_params"):
        filters.omit("frozen parameters are never in a group")
    if norm := place.take("max_grad_norm"):
        fields["clip_grad_norm"] = float(norm.number())
    if (steps := place.take("grad_accum_step")) and steps.integer() != 1:
        fields["accumulate"] = steps.integer()
    if groups := place.take("module_wise_configs", "module_wise_kwargs", "module_wise_params"):
        fields["groups"] = _groups(context, groups)
    context.exact(place, f"torch.optim.{key}")
    return fields


def _groups(context: Context, place: Place) -> dict[str, Any]:
    """Return parameter groups by module."""
    groups = {}
    for entry in place.items():
        teacher = entry.take("is_teacher", "is_teacher_module")
        side = "teacher" if teacher is not None and teacher.flag() else "student"
        groups[f"{side}.{entry.need('module').text()}"] = entry.mapping("kwargs", "params").given()
    message = "parameters that no module names learn too; without a teacher, torchdistill reads no groups at all"
    context.corrected(place, message)
    return groups


def convert_scheduler(context: Context, place: Place, stage: dict[str, Any]) -> dict[str, Any]:
    """Return `scheduler` and `scheduler_step` of a stage."""
    key, kwargs = place.need("key", "type").text(), place.mapping("kwargs", "params")
    step = place.take("scheduling_step")
    count = step.integer() if step else 0
    if count > 1:
        raise LostError(step or place, f"a scheduler that moves every {count} steps", "1 (each step) or 0 (each epoch)")
    fields: dict[str, Any] = {}
    if key == "poly_lr_scheduler":
        fields["scheduler"] = _polynomial(context, kwargs, stage)
    elif key.startswith(TRANSFORMERS):
        entries = {name: found for name, found in kwargs.entries().items() if not found.is_null}
        if steps := entries.pop("num_training_steps", None):
            _length(context, steps)
        arguments = {name: found.plain() for name, found in entries.items()}
        fields["scheduler"] = Call(f"transformers.{key}", arguments, "import_partial")
    elif key in SCHEDULERS:
        fields["scheduler"] = Call(f"torch.optim.lr_scheduler.{key}", kwargs.given(), "import_partial")
    else:
        raise LostError(place, f"the scheduler '{key}'", "name its import path with !import_partial")
    if count > 0:
        fields["scheduler_step"] = "step"
    context.exact(place, fields["scheduler"].path)
    return fields


def _length(context: Context, place: Place) -> None:
    """Report a number of steps, which ours takes from the stage."""
    if place.tag:
        named(place).require_of("utils.dataset")
        place.omit("the steps of the stage are filled in")
    else:
        context.corrected(place, f"the steps of the stage are filled in instead of {place.plain()}")


def _polynomial(context: Context, kwargs: Place, stage: dict[str, Any]) -> Call:
    if iterations := kwargs.take("num_iterations"):
        _length(context, iterations)
    epochs = kwargs.take("num_epochs")
    if epochs is not None and epochs.plain() != stage["epochs"]:
        raise LostError(epochs, f"a decay over {epochs.plain()} epochs in a stage of {stage['epochs']}")
    if stage.get("accumulate", 1) > 1:
        message = (
            "with accumulated gradients theirs ends before the rate is 0; here it reaches 0 at the end of the stage"
        )
        context.corrected(kwargs, message)
    power = kwargs.take("power")
    return Call("torch.optim.lr_scheduler.PolynomialLR", {"power": power.number() if power else 0.9}, "import_partial")
