"""What an experiment consists of: plain records of ordinary objects.

The trainer takes these records; the command line fills them from a YAML file. This module imports neither torch nor
yaml, so a file can be checked against it in milliseconds. In YAML each field is a key of the same name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from .errors import Problem
from .ranges import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, check_fields


class Inherit(enum.Enum):
    """The value of a stage's field that was left out: it comes from the stage before."""

    INHERIT = "inherit"


INHERIT = Inherit.INHERIT

Inputs = Mapping[str, str | Sequence[str]]
"""Wiring: the name of a parameter → the address of a tensor (a tap), or a list of addresses."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage has come: what a schedule of a weight or a temperature depends on.

    Attributes:
        stage: The stage's number, from 0.
        step: Optimizer steps taken in this stage.
        steps: Optimizer steps that the whole stage takes.
        epochs: Epochs of the whole stage.
    """

    stage: int
    step: int
    steps: int
    epochs: int

    @property
    def progress(self) -> float:
        """From 0 at the first step to 1 at the end.

        >>> StageProgress(stage=0, step=50, steps=200, epochs=4).progress
        0.25
        """
        return self.step / self.steps

    @property
    def epoch(self) -> float:
        """Epochs done, with fractions.

        >>> StageProgress(stage=0, step=50, steps=200, epochs=4).epoch
        1.0
        """
        return self.progress * self.epochs


@dataclass(frozen=True, kw_only=True)
class Term:
    """One summand of the objective: `weight · loss(**inputs)`.

    Attributes:
        loss: A callable that returns a scalar tensor, usually an `nn.Module`.
        inputs: Which tensor each parameter of the loss receives.
        weight: A number, or a callable from a `StageProgress` to a number (a schedule).
        schedules: Number that the loss holds (`temperature`) → schedule that sets it before each batch.
        separate_gradient: Whether its gradient reaches the optimizer separately from that of the other terms (`distill_core.optim`).
        averages_over: What the loss averages over, if it does not declare it: `samples`, `sum` (values add up), or the tap
            of a mask or weights whose sum is the count (`batch.mask`). Accumulated batches and several processes need
            it. The losses of this project and of torch are known. Of a loss that compares samples with each other,
            `samples` says that it may be accumulated.
    """

    loss: Callable[..., Any]
    inputs: Inputs
    weight: NonNegativeFloat | Callable[[Any], float] = 1.0
    schedules: Mapping[str, Any] = field(default_factory=dict)
    separate_gradient: bool = False
    averages_over: str | None = None

    RENAMED_KEYS: ClassVar[Mapping[str, str]] = {"apart": "separate_gradient"}

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric and its wiring; `metric` has `reset()`, `update(**inputs)` and `compute()`.

    A metric whose values are fractions may set `percent`: True, or the names of those values that `compute()` returns as
    fractions. Results hold the fraction; tables, plots and log lines print it in percent.
    """

    metric: Any
    inputs: Inputs


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What to measure on which data."""

    loader: Any
    metrics: Mapping[str, Metric]

    def percent(self, measured: Iterable[str]) -> list[str]:
        """Return the names of the measured values that are fractions and are printed in percent.

        Args:
            measured: Names as `evaluate` returns them: `name`, or `name.part` of a metric that computes several values.
        """
        return [
            name
            for name in measured
            for metric, entry in self.metrics.items()
            if (name == metric or name.startswith(f"{metric}."))
            and _contains(getattr(entry.metric, "percent", False), name[len(metric) + 1 :])
        ]


def _contains(percent: bool | Collection[str], part: str) -> bool:
    return percent if isinstance(percent, bool) else part in percent


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of training with one objective, one optimizer and one set of trainable parameters.

    A field that is left out has the value it had in the stage before; `null` clears it.

    Attributes:
        epochs: How many times to go over `data`.
        losses: The terms of the objective, by name.
        optimizer: A callable from parameter groups to an optimizer (`!import_partial:torch.optim.SGD`). SGD, Adam and
            AdamW run fused unless `fused` or `foreach` is given.
        scheduler: A callable from an optimizer to a learning-rate scheduler. Its length is filled in if it is omitted;
            a number of steps may be a share of the stage, `5%`.
        scheduler_step: When the scheduler advances: after each `epoch` or after each optimizer `step`.
        data: The loader to train on; `data.train` of the experiment if never set.
        train: Globs over `student`, `student.layer1`, `losses.kd`: which parts learn. By default every model whose
            name does not begin with `teacher`, and all losses.
        groups: Glob → options of its own parameter group (`lr`, `weight_decay`); the first glob that matches wins.
        feed: Model → wiring of its inputs; `batch.input` as the first argument if left out.
        modes: Model → `train` or `eval`, where it is not train for what learns and eval for what is frozen. The running
            statistics of a frozen model in train mode are put back at the end of the stage.
        accumulate: How many batches make one optimizer step.
        clip_grad_norm: The greatest norm of all gradients together, if any.
    """

    epochs: PositiveInt | Inherit = INHERIT
    losses: Mapping[str, Term] | Inherit = INHERIT
    optimizer: Callable[..., Any] | Inherit = INHERIT
    scheduler: Callable[..., Any] | Inherit | None = INHERIT
    scheduler_step: Literal["epoch", "step"] | Inherit = INHERIT
    data: Any = INHERIT
    train: Sequence[str] | Inherit | None = INHERIT
    groups: Mapping[str, Mapping[str, Any]] | Inherit | None = INHERIT
    feed: Mapping[str, Inputs] | Inherit | None = INHERIT
    modes: Mapping[str, Literal["train", "eval"]] | Inherit | None = INHERIT
    accumulate: PositiveInt | Inherit = INHERIT
    clip_grad_norm: PositiveFloat | Inherit | None = INHERIT

    def __post_init__(self) -> None:
        check_fields(self)

    def after(self, previous: Stage) -> Stage:
        """This stage with what it leaves out taken from `previous`."""
        left_out = {f.name: getattr(previous, f.name) for f in fields(self) if getattr(self, f.name) is INHERIT}
        return replace(self, **left_out)


FIRST_STAGE = Stage(
    scheduler=None,
    scheduler_step="epoch",
    data=None,
    train=None,
    groups=None,
    feed=None,
    modes=None,
    accumulate=1,
    clip_grad_norm=None,
)
"""What the first stage takes where it is silent."""


REQUIRED_OF_FIRST = ("epochs", "losses", "optimizer")


def incomplete(stages: Sequence[Stage], data: Collection[str]) -> list[Problem]:
    """Return the problems that keep stages from training, each with its key.

    Args:
        stages: The stages as they were given.
        data: The names of the loaders of the experiment.

    >>> [problem.key for problem in incomplete([], ["train"])]
    ['stages']
    """
    if not stages:
        return [Problem("an experiment needs at least one stage", key="stages", id="no-stages")]
    missing = [name for name in REQUIRED_OF_FIRST if getattr(stages[0], name) is INHERIT]
    problems = [
        Problem(f"the first stage needs '{name}'", key="stages.0", id="first-stage-incomplete") for name in missing
    ]
    if "train" not in data and (stages[0].data is INHERIT or stages[0].data is None):
        hint = "give `data.train`, or `data` of the stage"
        problems.append(Problem("there is no training data", key="stages.0", hint=hint, id="no-training-data"))
    for index, stage in enumerate(stages):
        if stage.losses is not INHERIT and not stage.losses:
            hint = "give at least one under `losses`"
            problems.append(Problem("a stage has no losses", key=f"stages.{index}.losses", hint=hint, id="no-losses"))
        if stage.train is not INHERIT and stage.train is not None and not stage.train:
            message = "the list is empty, so nothing would be trained"
            hint = "omit `train` to train all losses and every model whose name does not begin with 'teacher'"
            problems.append(Problem(message, key=f"stages.{index}.train", hint=hint, id="nothing-to-train"))
    return problems


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """Keep what a frozen model gives on disk, and read it where it is there.

    Attributes:
        folder: Where; a cache's own folder in it is named by the hash of all that its content depends on.
        codec: How it is stored: `float32`, `float16`, `bfloat16`, `int8`, `topk-8` (any number), `sampled-64`; or glob
            over taps (`teacher`, `teacher.layer*`) → that, `float32` where none matches.
        views: How many different augmentations of each sample there are; `views` of the experiment if left out.
    """

    folder: str
    codec: str | Mapping[str, str] = "float32"
    views: PositiveInt | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """How a model runs while it is frozen, where that differs from the rest of the run.

    Attributes:
        precision: `fp32`, or mixed precision with `bf16` or `fp16`; the losses get what it gives as float32 if the run
            is in `fp32`. Its weights stay in the type that they have: build the model in bfloat16 to halve them, too.
        compile: Compile it with `torch.compile` by itself; a text names the backend.
    """

    precision: Literal["fp32", "fp16", "bf16"] | None = None
    compile: bool | str = False


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run, whole: models, data, stages, what to do on the way, what to measure at the end.

    Attributes:
        models: The models by name, in the order in which they run.
        data: The loaders by name; the stages train on `train`.
        stages: The stages in order.
        callbacks: What happens on the way: evaluation, checkpoints.
        test: What to measure once, at the end.
        seed: All chance follows from it.
        precision: `fp32`, or mixed precision with `bf16` or `fp16`.
        deterministic: Ask torch for deterministic kernels (slower on a GPU).
        compile: Compile models and losses together with `torch.compile`; a text names the backend.
        channels_last: Keep maps with the channels last in memory, which convolutions may compute faster.
        ema: Model → decay of an exponential moving average, a model named `<model>_ema`.
        nonfinite: What happens when a gradient or a buffer is not finite. The update is withheld in any case, and buffers
            are put back; `stop` ends the run, `skip` goes on, `rollback` takes up the last checkpoint and leaves those
            batches out.
        max_nonfinite: How many batches `skip` and `rollback` leave out before the run ends.
        views: How many different augmentations of each sample there are: epoch e shows those of epoch e − views again,
            in another order; where a loader mixes batches, the same batches in another order. A new one in each epoch
            if left out.
        cache: Frozen model → where its values are kept. During the first `views` epochs they are computed and stored,
            afterwards read.
        sources: Frozen model → how it runs: a teacher in bfloat16, or compiled, beside a student that is neither.
        parallel: How several processes share the work: `ddp` has every model whole on each, `fsdp` spreads models over them,
            `deepspeed` has models whole and spreads gradients and the optimizer's state (ZeRO, stage 2).
        shard: Which models `fsdp` spreads; those that do not begin with `teacher` if left out.
        timeout: Seconds that several processes wait for one of them before they end.
        log_every: Steps between two log lines.
        imports: Modules to import first, so that what they `@register` can be named (needs `--trust`).
        about: A sentence for the report.
    """

    models: Mapping[str, Any]
    data: Mapping[str, Any]
    stages: Sequence[Stage]
    callbacks: Sequence[Any] = field(default=())
    test: Evaluation | None = None
    seed: int = 0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    deterministic: bool = False
    compile: bool | str = False
    channels_last: bool = False
    ema: Mapping[str, Fraction] = field(default_factory=dict)
    nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    max_nonfinite: NonNegativeInt = 10
    views: PositiveInt | None = None
    cache: Mapping[str, CacheSettings] = field(default_factory=dict)
    sources: Mapping[str, SourceSettings] = field(default_factory=dict)
    parallel: Literal["ddp", "fsdp", "deepspeed"] = "ddp"
    shard: Sequence[str] = field(default=())
    timeout: PositiveFloat = 600.0
    log_every: PositiveInt = 50
    imports: Sequence[str] = field(default=())
    about: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
