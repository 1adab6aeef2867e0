"""Records of what a run will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import Problem
from ..experiment import Inputs, SourceSettings


@dataclass(frozen=True, kw_only=True)
class ModelPreview:
    """The size of one model.

    Attributes:
        name: The model's name.
        kind: Its class.
        num_parameters: Number of parameters; lazy ones are not counted.
    """

    name: str
    kind: str
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class TermPreview:
    """One term of a stage's loss.

    Attributes:
        name: The term's name.
        loss: The class of its loss.
        weight: Its weight, or the name of the schedule of its weight.
        inputs: Parameter of the loss → tap, or list of taps.
        separate_gradient: Whether the optimizer receives its gradient separately.
    """

    name: str
    loss: str
    weight: float | str
    inputs: Inputs
    separate_gradient: bool


@dataclass(frozen=True, kw_only=True)
class TapPreview:
    """The value of one tap in a batch: its address, shape and dtype."""

    tap: str
    shape: str
    dtype: str


@dataclass(frozen=True, kw_only=True)
class TrainablePreview:
    """The parameters of one model or loss, and how many of them a stage trains."""

    name: str
    num_trainable: int
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class ForwardPreview:
    """The forward of one model in a step.

    Attributes:
        model: The model's name.
        frozen: Whether it runs without gradients.
        mode: The mode of a frozen model.
        settings: How a frozen model runs: its precision, and whether it is compiled.
        last_module: The module after which the model stops; empty if it runs to its end.
        num_run: Number of modules up to that one.
        num_modules: Number of modules of the model.
        flops: Floating-point operations of a batch; 0 if they are not known.
        complete_flops: The same without stopping early.
    """

    model: str
    frozen: bool
    mode: Literal["train", "eval"]
    settings: SourceSettings
    last_module: str = ""
    num_run: int = 0
    num_modules: int = 0
    flops: int = 0
    complete_flops: int = 0


@dataclass(frozen=True, kw_only=True)
class StagePreview:
    """The plan of one stage.

    Attributes:
        index: The stage's index.
        epochs: Number of epochs; None in a stage of `steps`.
        steps: Number of optimizer steps that the stage sets; None in a stage of `epochs`.
        optimizer: The call that creates the optimizer.
        scheduler: The call that creates the scheduler, with the lengths that follow from the stage; empty without one.
        scheduler_step: When the scheduler advances.
        terms: The terms of the loss.
        taps: The tapped values.
        trainable: The trained parameters of each model and loss.
        forwards: How each model runs.
        notes: What could not be checked, and what the run will warn about.
    """

    index: int
    epochs: int | None
    steps: int | None
    optimizer: str
    scheduler: str
    scheduler_step: str
    terms: Sequence[TermPreview]
    taps: Sequence[TapPreview] = ()
    trainable: Sequence[TrainablePreview] = ()
    forwards: Sequence[ForwardPreview] = ()
    notes: Sequence[Problem] = ()


@dataclass(frozen=True, kw_only=True)
class MetricPreview:
    """One metric: the split that it reads, its name, class and wiring."""

    split: str
    name: str
    kind: str
    inputs: Inputs


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The plan of a run.

    Attributes:
        models: The models.
        stages: The stages that have no problem.
        metrics: The metrics, in the order in which they are computed.
        notes: What the run will warn about before its first stage.
        problems: What will make the run fail.
    """

    models: Sequence[ModelPreview]
    stages: Sequence[StagePreview] = ()
    metrics: Sequence[MetricPreview] = ()
    notes: Sequence[Problem] = ()
    problems: Sequence[Problem] = ()
