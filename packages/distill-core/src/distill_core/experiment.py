"""The records of an experiment: plain dataclasses of ordinary objects.

The trainer takes these records; the command line fills them from a YAML file. This module imports neither torch nor
yaml, so a file can be checked against it in milliseconds. In YAML each field is a key of the same name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from .feature import Feature
from .model_settings import CacheSettings as CacheSettings
from .model_settings import DDPSettings as DDPSettings
from .model_settings import FSDPSettings as FSDPSettings
from .model_settings import SourceSettings as SourceSettings
from .ranges import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, check_fields


class Inherit(enum.Enum):
    """The value of an omitted field of a stage: it comes from the stage before."""

    INHERIT = "inherit"


INHERIT = Inherit.INHERIT

Inputs = Mapping[str, str | Feature | Sequence[str | Feature]]
"""Wiring: the name of a parameter → the address of a tensor (a tap), or a list. A `Feature` converts its layout."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage has come: what a schedule of a weight or a temperature depends on.

    Attributes:
        stage: The stage's number, from 0.
        step: Optimizer steps taken in this stage.
        steps: Optimizer steps that the whole stage takes.
        epochs: Epochs of the stage; a fraction if it ends within one.
    """

    stage: int
    step: int
    steps: int
    epochs: float

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
        inputs: The wiring: parameter of the loss → tap.
        weight: A number, or a callable from a `StageProgress` to a number (a schedule).
        schedules: Attribute of the loss (`temperature`) → schedule that sets it before each batch.
        separate_gradient: Whether the optimizer gets its gradient separately from that of the other terms
            (`distill_core.optim`).
        averages_over: What the loss averages over, if not declared: `samples`, `sum` (values add up), or the tap of a mask or
            weights whose sum is the count (`batch.mask`). Gradient accumulation and several processes need it. Ours and torch's
            are known. For a loss that compares samples with each other, `samples` allows accumulation.
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
    """A metric and its wiring.

    Attributes:
        metric: It has `reset()`, `update(**inputs)` and `compute()`. `percent`, True or names, prints fractions in percent.
        inputs: The tap of each parameter of `update`.
    """

    metric: Any
    inputs: Inputs


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A loader and the metrics to compute on it.

    Attributes:
        loader: The data.
        metrics: The metrics by name.
        feed: Model → wiring of its inputs; by default that of the stage.
    """

    loader: Any
    metrics: Mapping[str, Metric]
    feed: Mapping[str, Inputs] | None = None

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

    An omitted field has the value of the stage before; `null` clears it.

    Attributes:
        epochs: Number of epochs over `data`; give either `epochs` or `steps`.
        steps: Number of optimizer steps, also within an epoch. It replaces an inherited `epochs`, and `epochs` a `steps`.
        losses: The terms of the objective, by name.
        optimizer: A callable from parameter groups to an optimizer (`!import_partial:torch.optim.SGD`). SGD, Adam and AdamW run
            fused unless `fused` or `foreach` is given.
        scheduler: A callable from an optimizer to a learning-rate scheduler. Its length is filled in if it is omitted; a number
            of steps may be a share of the stage, `5%`.
        scheduler_step: When the scheduler advances: after each `epoch` or after each optimizer `step`. The default is `epoch`,
            and `step` in a stage of `steps`, where `epoch` is refused.
        data: The loader to train on; `data.train` of the experiment if never set.
        train: Globs over `student`, `student.layer1`, `losses.kd`: the parameters that learn. By default every model
            whose name does not begin with `teacher`, and all losses.
        groups: Glob → options of a parameter group (`lr`, `weight_decay`); the first glob that matches wins.
        feed: Model → wiring of its inputs; by default `batch.input` is the first argument.
        modes: Model → `train` or `eval`; by default train for models that learn and eval for frozen ones. The running
            statistics of a frozen model in train mode are restored at the end of the stage.
        accumulate: Number of batches for each optimizer step.
        clip_grad_norm: Maximum norm of all gradients together; not clipped by default.
        stop_early: Whether the forward of a model that learns ends after its last tapped module, if its own output is not read.
            By default it ends there if the modules behind update no buffer and draw no random number. `true` ends it in any
            case: BatchNorm statistics behind stay as they are, and each tapped module must run once per forward.
    """

    epochs: PositiveInt | Inherit | None = INHERIT
    steps: PositiveInt | Inherit | None = INHERIT
    losses: Mapping[str, Term] | Inherit = INHERIT
    optimizer: Callable[..., Any] | Inherit = INHERIT
    scheduler: Callable[..., Any] | Inherit | None = INHERIT
    scheduler_step: Literal["epoch", "step"] | Inherit | None = INHERIT
    data: Any = INHERIT
    train: Sequence[str] | Inherit | None = INHERIT
    groups: Mapping[str, Mapping[str, Any]] | Inherit | None = INHERIT
    feed: Mapping[str, Inputs] | Inherit | None = INHERIT
    modes: Mapping[str, Literal["train", "eval"]] | Inherit | None = INHERIT
    accumulate: PositiveInt | Inherit = INHERIT
    clip_grad_norm: PositiveFloat | Inherit | None = INHERIT
    stop_early: bool | Inherit | None = INHERIT

    def __post_init__(self) -> None:
        check_fields(self)

    def after(self, previous: Stage) -> Stage:
        """Return this stage with omitted fields taken from `previous`."""
        omitted = {f.name: getattr(previous, f.name) for f in fields(self) if getattr(self, f.name) is INHERIT}
        for name, other in (("epochs", "steps"), ("steps", "epochs")):
            if name in omitted and getattr(self, other) not in (INHERIT, None):
                omitted[name] = None
        return replace(self, **omitted)


FIRST_STAGE = Stage(
    epochs=None, steps=None, scheduler=None, scheduler_step=None, data=None, train=None, groups=None, feed=None,
    modes=None, accumulate=1, clip_grad_norm=None, stop_early=None,
)  # fmt: skip
"""Defaults for fields that the first stage omits."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A complete run: models, data, stages, callbacks and the test at the end.

    Attributes:
        models: The models by name, in the order in which they run.
        data: The loaders by name; the stages train on `train`.
        stages: The stages in order. Without stages, a run only tests.
        callbacks: Callbacks: evaluation, checkpoints, logging.
        test: The evaluation at the end.
        seed: Seeds all randomness.
        precision: `fp32`, or mixed precision with `bf16` or `fp16`.
        deterministic: Use deterministic kernels of torch (slower on a GPU).
        compile: Compile models and losses together with `torch.compile`; a string names the backend.
        channels_last: Use the channels-last memory format, which may speed up convolutions.
        ema: Model → decay of an exponential moving average, a model named `<model>_ema`.
        nonfinite: Policy for a gradient or buffer that is not finite. The update is always withheld and buffers are restored;
            `stop` ends the run, `skip` continues, `rollback` resumes from the last checkpoint without those.
        max_nonfinite: Number of batches that `skip` and `rollback` may skip before the run ends.
        views: Number of augmentations of each sample (mixed batches): epoch e repeats those of epoch e − views in another
            order. By default each epoch has new ones.
        cache: Frozen model → its cache. Values are computed and stored in the first `views` epochs, and read afterwards.
        sources: Frozen model → its settings: a teacher in bfloat16, or compiled, next to a student that is neither.
        parallel: Parallelism of several processes: `ddp` replicates every model, `fsdp` shards models, `deepspeed`
            replicates models and shards gradients and the optimizer's state (ZeRO, stage 2).
        shard: The models to shard by FSDP2 beside replicated ones, also with `parallel: ddp`; with `parallel: fsdp` by
            default those whose name does not begin with `teacher`.
        ddp: How the gradients of replicated models are averaged.
        fsdp: How sharded models are gathered, and where their shards are kept.
        activation_checkpointing: Models whose blocks recompute their activations in the backward pass instead of keeping them.
            The blocks are the elements of their `nn.Sequential`s and `nn.ModuleList`s.
        compile_blocks: Model → whether to compile each of its blocks with `torch.compile`, which compiles equal blocks once; a
            string names the backend. Not with `compile`.
        timeout: Seconds that processes wait for each other before they end.
        log_every: Number of steps between two log lines.
        log_grad_norm: Also log `grad_norm`, the norm of the last step's gradients before clipping; not with `deepspeed`.
        limit_batches: Number of batches after which each stage and evaluation ends, for a quick pass over the file.
        imports: Modules to import first, so that their `@register`ed names are known (needs `--trust`).
        about: A sentence for the report.
    """

    models: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[Stage] = field(default=())
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
    ddp: DDPSettings = field(default=DDPSettings())
    fsdp: FSDPSettings = field(default=FSDPSettings())
    activation_checkpointing: Sequence[str] = field(default=())
    compile_blocks: Mapping[str, bool | str] = field(default_factory=dict)
    timeout: PositiveFloat = 600.0
    log_every: PositiveInt = 50
    log_grad_norm: bool = False
    limit_batches: PositiveInt | None = None
    imports: Sequence[str] = field(default=())
    about: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
