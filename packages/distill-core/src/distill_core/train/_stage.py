"""A stage made ready: who learns, the distiller, its optimizer and scheduler, proven before the first step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..data import Loader
from ..distributed import world_size
from ..errors import Problem, TrainingError, WiringError, did_you_mean
from ..experiment import FIRST_STAGE, Experiment, Stage, StageProgress, incomplete
from ._distiller import Batch, Distiller
from ._kept_buffers import KeptBuffers
from ._lazy import materialise, refuse_lazy
from .parallel import SharedGradients, ZeroEngine
from .step import (
    FiniteGuard,
    LossScales,
    Named,
    Schedules,
    Update,
    default_patterns,
    make_backward,
    make_optimizer,
    make_scheduler,
    named_parameters,
    parameter_groups,
    prove_groups,
    refuse_apart,
    refuse_optimizer,
    refuse_uncounted,
    select,
    steps_per_epoch,
)
from .teachers import Caches, FrozenModels, compiled


@dataclass
class StageRun:
    """What exists while a stage runs."""

    stage: Stage
    loader: Loader
    steps_per_epoch: int
    distiller: Distiller
    trainable: dict[str, nn.Parameter]
    required_grad: list[tuple[nn.Parameter, bool]]
    optimizer: Any
    scheduler: Any
    schedules: Schedules
    frozen: FrozenModels
    shares: LossScales
    is_watched: bool = True  # whether the losses of the next batch are called under watch
    module: Any = None
    update: Any = None
    gradients: Any = None
    backward: Any = None

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole stage."""
        return self.steps_per_epoch * int(self.stage.epochs)  # type: ignore[arg-type]

    def weights(self, number: int, step: int) -> dict[str, float]:
        """The weight of each term at this step of the stage with this number; whatever else is scheduled is set."""
        if self.schedules.constant is not None:
            return self.schedules.constant
        return self.schedules.at(StageProgress(number, step, self.num_steps, int(self.stage.epochs)))  # type: ignore[arg-type]

    def set_modes(self, models: Mapping[str, nn.Module]) -> None:
        """Set the modes again, for an epoch."""
        set_modes(self.distiller, models, self.trainable, self.stage)

    def end(self) -> None:
        """Take the hooks away and let every tensor require what it did before."""
        self.distiller.detach()
        self.frozen.restore()
        if self.gradients is not None:
            self.gradients.end()
        for parameter, required in self.required_grad:
            parameter.requires_grad_(required)
            parameter.grad = None


def set_modes(distiller: Distiller, models: Mapping[str, nn.Module], trainable: Named, stage: Stage) -> None:
    """Train mode for what learns, eval mode for frozen models and for frozen parts of trained ones."""
    distiller.train()
    learning = {id(parameter) for parameter in trainable.values()}
    for model in models.values():
        if not any(id(parameter) in learning for parameter in model.parameters()):
            model.eval()
            continue
        for module in model.modules():
            own = list(module.parameters())
            if own and not any(id(parameter) in learning for parameter in own):
                module.eval()
    for name, mode in (stage.modes or {}).items():  # type: ignore[union-attr]
        models[name].train(mode == "train")


def resolved_stages(experiment: Experiment) -> list[Stage]:
    """The stages with all that they left out filled in.

    Raises:
        WiringError: A model is not an `nn.Module`. There is no stage, the first one misses something that no earlier one can give, or one has nothing
            to train, to train on or to train with.
        TrainingError: The gradient of a loss is to be apart where it cannot be, or a loss is accumulated that does not
            say what it averages over.
    """
    _refuse_models(experiment.models)
    for problem in incomplete(experiment.stages, experiment.data):
        raise WiringError(problem.message, key=problem.key, hint=problem.hint)
    stages, previous = [], FIRST_STAGE
    for stage in experiment.stages:
        previous = stage.after(previous)
        stages.append(previous)
    refuse_apart(experiment, stages)
    for number, stage in enumerate(stages):
        refuse_uncounted(stage, number)
    return stages


def _refuse_models(models: Mapping[str, Any]) -> None:
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
            message = f"'{name}' must be an nn.Module, got {kind}"
            raise WiringError(message, key=f"models.{name}", hint="create the model before the experiment")


def prepare_stage(
    models: Mapping[str, nn.Module],
    stage: Stage,
    number: int,
    loader: Loader,
    first_batch: Callable[[], Batch],
    device: torch.device,
    averages: Collection[str] = (),
    caches: Caches | None = None,
    *,
    seed: int = 0,
) -> StageRun:
    """Decide what learns, make the distiller and the optimizer, and prove them.

    Modes are set before anything runs, and only lazy parameters make something run.

    Args:
        models: All models by name, on the device.
        stage: The stage, nothing left out.
        number: Its number, from 0.
        loader: What it trains on.
        first_batch: Gives the first batch, on the device; asked only if lazy parameters need shapes.
        device: Where all is.
        averages: Models that are averages of others and never learn.
        caches: The caches of frozen models.
        seed: The seed of the run, from which initial values of lazy parameters follow.

    Raises:
        WiringError, TrainingError: Names that do not fit; tensors in no optimizer group or in two.
    """
    key = f"stages.{number}"
    terms: Any = stage.losses
    losses = {name: term.loss for name, term in terms.items()}
    able = {name: model for name, model in models.items() if name not in averages}
    chosen = _chosen(stage, named_parameters(able, losses), key)
    trained = {name.split(".")[0] for name in chosen} & set(able)
    if caches:
        caches.prepare(terms)
    size = loader.batch_size if loader.batch_sampler is None else None
    wrap = functools.partial(caches.wrap, size=size) if caches else None
    distiller = Distiller(models, terms, trained, stage.feed, wrap)  # type: ignore[arg-type]
    distiller.to(device)
    named = named_parameters(models, losses)
    learning = {id(named[name]) for name in chosen}
    trainable = {name: parameter for name, parameter in named.items() if id(parameter) in learning}
    still = _frozen(able, trained, losses, stage, key)
    set_modes(distiller, models, trainable, stage)
    materialise(distiller, first_batch, seed, device)
    refuse_lazy(trainable, key)
    required_grad = _require_grad(named, learning)
    optimizer = _optimizer(stage, trainable, named, key)
    num_per_epoch = steps_per_epoch(stage, loader)
    steps = num_per_epoch * int(stage.epochs)  # type: ignore[arg-type]
    scheduler = make_scheduler(stage, optimizer, steps, key) if stage.scheduler else None
    run = StageRun(
        stage, loader, num_per_epoch, distiller, trainable, required_grad, optimizer, scheduler, Schedules(terms), still,
        LossScales(terms, distiller.sources, device),
    )  # fmt: skip
    distiller.attach()
    return run


def _chosen(stage: Stage, named: Named, key: str) -> set[str]:
    """The names of the parameters that learn."""
    patterns: Any = stage.train or default_patterns(named)
    chosen = select(named, patterns, f"{key}.train")
    if not chosen:
        message = f"{key}.train chooses no parameter, so nothing would learn"
        hint = "name a model or a loss that has parameters, `student` for example"
        raise WiringError(str(Problem(message, hint=hint)))
    return chosen


def _require_grad(named: Named, learning: Collection[int]) -> list[tuple[nn.Parameter, bool]]:
    """Let the parameters of these ids require gradients and no others; return what each required before."""
    tensors: list[Any] = list(named.values())
    made: dict[int, nn.Parameter] = {id(tensor): tensor for tensor in tensors if not is_lazy(tensor)}
    before = [(parameter, parameter.requires_grad) for parameter in made.values()]
    for parameter in made.values():
        parameter.requires_grad_(id(parameter) in learning)
    return before


def _frozen(
    models: Mapping[str, nn.Module], trained: Collection[str], losses: Mapping[str, Any], stage: Stage, key: str
) -> FrozenModels:
    """The models that do not learn; what they share with one that does, or with a loss, may change."""
    modes: Any = stage.modes or {}
    for name in modes:
        if name not in models:
            message = f"{key}.modes: there is no model '{name}'\n  hint: {did_you_mean(name, models)}"
            raise WiringError(message)
    others = [models[name] for name in trained] + [loss for loss in losses.values() if isinstance(loss, nn.Module)]
    changing = {id(tensor) for other in others for tensor in (*other.parameters(), *other.buffers())}
    frozen = {name: model for name, model in models.items() if name not in trained}
    return FrozenModels(frozen, changing, [name for name, mode in modes.items() if mode == "train"])


def _optimizer(stage: Stage, trainable: Named, named: Named, key: str) -> Any:
    """The stage's optimizer, proven to have each trainable tensor once and to take the gradients that there are."""
    groups = parameter_groups(trainable, stage.groups, f"{key}.groups")  # type: ignore[arg-type]
    try:
        optimizer = make_optimizer(stage.optimizer, groups)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        message = f"{key}.optimizer: it cannot be made: {error}"
        raise WiringError(message) from error
    frozen = {name: parameter for name, parameter in named.items() if name not in trainable}
    prove_groups(optimizer, trainable, frozen)
    refuse_optimizer(stage, optimizer, key)
    return optimizer


def connect(
    run: StageRun,
    experiment: Experiment,
    prepare: Callable[..., Any],
    scaler: torch.amp.GradScaler | None,
    device: torch.device,
) -> None:
    """Give a stage its module as prepared and compiled, its backward pass and its update.

    Args:
        run: The stage.
        experiment: Says how to compile, to spread and what to do with numbers that are not finite.
        prepare: Wraps the module for mixed precision.
        scaler: The loss scaler of fp16, if any.
        device: Where all is.

    Raises:
        TrainingError: DeepSpeed is asked for and is not installed, or with the loss scaler of fp16.
    """
    module = compiled(run.distiller, experiment.compile)
    run.is_watched = not experiment.compile  # a compiled graph shows nothing of what its losses do
    run.module = prepare(module, evaluation_mode=True)  # precision; no DDP, see _gradients
    sticky, clip = experiment.nonfinite != "skip", run.stage.clip_grad_norm
    learning: Any = run.trainable.values()
    buffers = KeptBuffers(run.distiller)
    if experiment.parallel == "deepspeed" and world_size() > 1:
        if scaler:
            message = "parallel: deepspeed has no place for the loss scaler of fp16\n  hint: precision: bf16"
            raise TrainingError(message)
        engine = ZeroEngine(
            run.module,
            learning,
            run.optimizer,
            clip_grad_norm=clip,  # type: ignore[arg-type]
            buffers=buffers,
            sticky=sticky,
        )
        run.gradients = run.backward = run.update = engine
        return
    run.gradients = SharedGradients(run.distiller)
    run.backward = make_backward(run, scaler, is_compiled=bool(experiment.compile))
    guard = FiniteGuard(run.optimizer, device, buffers, sticky=sticky)
    run.update = Update(run.optimizer, learning, clip, scaler, guard)  # type: ignore[arg-type]
