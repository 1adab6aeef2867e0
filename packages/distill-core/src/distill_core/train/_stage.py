"""A stage made ready to run: what learns, the distiller, its optimizer and scheduler, checked before the first step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..data import Loader, Stream, known_labels
from ..distributed import world_size
from ..errors import TrainingError, WiringError, did_you_mean
from ..experiment import Experiment, Term
from ..optim import SplitOptimizer
from ._distiller import Batch, Distiller
from ._kept_buffers import KeptBuffers
from ._lazy import materialise, refuse_lazy
from ._modes import set_modes
from ._resolved_stage import ResolvedStage, resolve
from ._shared_vocabulary import shared_vocabulary
from ._stage_run import StageRun
from ._stops import set_stops
from .parallel import DTYPES, DataParallel, ZeroEngine
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
    refuse_optimizer,
    refuse_separate,
    refuse_uncounted,
    select,
    verify_groups,
)
from .teachers import Caches, FrozenModels, compiled


def resolved_stages(experiment: Experiment) -> list[ResolvedStage]:
    """Return the stages with omitted fields filled in.

    Raises:
        WiringError: A model is not an `nn.Module`, a stage lacks a required field, or it has nothing to train, to train
            on or to train with.
        TrainingError: A loss has a separate gradient where the run supports only one, or a loss is accumulated that does
            not declare what it averages over.
    """
    _refuse_models(experiment.models)
    stages = resolve(
        experiment.stages,
        experiment.data,
        tests=experiment.test is not None,
        limit_batches=experiment.limit_batches,
    )
    refuse_separate(experiment, stages)
    for index, stage in enumerate(stages):
        refuse_uncounted(stage, index)
    return stages


def _refuse_models(models: Mapping[str, Any]) -> None:
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
            message = f"'{name}' must be an nn.Module, got {kind}"
            raise WiringError(message, key=f"models.{name}", hint="create the model before the experiment")


def prepare_stage(
    models: Mapping[str, nn.Module],
    stage: ResolvedStage,
    index: int,
    loader: Loader | None,
    first_batch: Callable[[], Batch],
    device: torch.device,
    ema_names: Collection[str] = (),
    caches: Caches | None = None,
    *,
    data: Any = None,
    seed: int = 0,
) -> StageRun:
    """Choose what learns, and build and check the distiller and the optimizer.

    Modes are set before anything runs, and only lazy parameters make something run.

    Args:
        models: All models by name, on the device.
        stage: The stage.
        index: Its index, from 0.
        loader: Its loader; None if its length is not known, as in a preview. One step per epoch is then assumed.
        first_batch: Returns the first batch, on the device; called only for lazy parameters and for `stop_early: true`.
        ema_names, caches: Names of the EMA copies, which never learn, and the caches of frozen models.
        data: The data function if `loader` is None, which knows the vocabularies.
        device, seed: Device of models and losses, and the seed from which initial values of lazy parameters follow.

    Raises:
        WiringError, TrainingError: Names that do not match; tensors in no optimizer group or in two.
    """
    key, terms = f"stages.{index}", stage.losses
    losses = {name: term.loss for name, term in terms.items()}
    able = {name: model for name, model in models.items() if name not in ema_names}
    chosen = _chosen(stage, named_parameters(able, losses), key)
    trained = {name.split(".")[0] for name in chosen} & set(able)
    if caches:
        caches.prepare(terms)
    wrap = functools.partial(caches.wrap, loader=loader) if caches else None
    distiller = Distiller(models, terms, trained, stage.feed, wrap)
    distiller.limit(shared_vocabulary(models, stage, data if loader is None else loader))
    _move(distiller, device)
    named = named_parameters(models, losses)
    learning = {id(named[name]) for name in chosen}
    trainable = {name: parameter for name, parameter in named.items() if id(parameter) in learning}
    frozen = _frozen(able, trained, losses, stage, key)
    set_modes(distiller, models, trainable, stage)
    _set_labels(terms, loader)
    materialise(distiller, first_batch, seed, device)
    set_stops(distiller, stage.stop_early, first_batch, device, key)
    refuse_lazy(trainable, key)
    required_grad = _require_grad(named, learning)
    optimizer = _optimizer(stage, trainable, named, key)
    num_per_epoch = _steps_per_epoch(stage, loader, caches, key)
    scheduler = make_scheduler(stage, optimizer, stage.num_steps(num_per_epoch), key) if stage.scheduler else None
    run = StageRun(
        stage, loader, num_per_epoch, distiller, trainable, required_grad, optimizer, scheduler, Schedules(terms), frozen,
        LossScales(terms, distiller.sources, device),
    )  # fmt: skip
    distiller.attach()
    return run


def _move(distiller: Distiller, device: torch.device) -> None:
    """Move the distiller, unless it is there: torch cannot move the tensors without data of a preview of memory."""
    if any(tensor.device != device for tensor in (*distiller.parameters(), *distiller.buffers())):
        distiller.to(device)


def _set_labels(terms: Mapping[str, Term], loader: Loader | None) -> None:
    """Give the classes of all samples to each loss that reads the targets and keeps classes by sample."""
    setters = [
        setter
        for term in terms.values()
        if "target" in term.inputs and callable(setter := getattr(term.loss, "set_labels", None))
    ]
    labels = known_labels(loader.dataset) if setters and loader is not None else None
    for setter in setters if labels is not None else ():
        setter(labels)


def _steps_per_epoch(stage: ResolvedStage, loader: Loader | None, caches: Caches | None, key: str) -> int:
    """Return the number of optimizer steps in an epoch; 1 if the loader is not known."""
    if isinstance(loader, Stream) and caches and caches.views is not None:
        message = "`views` and `cache` repeat the samples of a dataset, and a stream has no fixed samples"
        raise TrainingError(message, key=f"{key}.data", hint="omit them, or use a dataset with a length")
    return stage.steps_per_epoch(loader) if loader is not None else 1


def _chosen(stage: ResolvedStage, named: Named, key: str) -> set[str]:
    """Return the names of the parameters that learn."""
    chosen = select(named, stage.train or default_patterns(named), f"{key}.train")
    if not chosen:
        message = f"{key}.train chooses no parameter, so nothing would learn"
        raise WiringError(message, hint="name a model or a loss that has parameters, such as `student`")
    return chosen


def _require_grad(named: Named, learning: Collection[int]) -> list[tuple[nn.Parameter, bool]]:
    """Require gradients of the parameters with these ids and of no others; return what each required before."""
    tensors: list[Any] = list(named.values())
    initialised: dict[int, nn.Parameter] = {id(tensor): tensor for tensor in tensors if not is_lazy(tensor)}
    before = [(parameter, parameter.requires_grad) for parameter in initialised.values()]
    for parameter in initialised.values():
        parameter.requires_grad_(id(parameter) in learning)
    return before


def _frozen(
    models: Mapping[str, nn.Module],
    trained: Collection[str],
    losses: Mapping[str, Any],
    stage: ResolvedStage,
    key: str,
) -> FrozenModels:
    """Return the models that do not learn; tensors that they share with a trained model or a loss may change."""
    for name in stage.modes:
        if name not in models:
            message = f"there is no model '{name}'"
            raise WiringError(message, key=f"{key}.modes", hint=did_you_mean(name, models))
    others = [models[name] for name in trained] + [loss for loss in losses.values() if isinstance(loss, nn.Module)]
    changing = {id(tensor) for other in others for tensor in (*other.parameters(), *other.buffers())}
    frozen = {name: model for name, model in models.items() if name not in trained}
    return FrozenModels(frozen, changing, [name for name, mode in stage.modes.items() if mode == "train"])


def _optimizer(stage: ResolvedStage, trainable: Named, named: Named, key: str) -> Any:
    """Return the stage's optimizer, after checking that it has each trainable tensor once and takes its gradients."""
    groups = parameter_groups(trainable, stage.groups, f"{key}.groups")
    try:
        optimizer = make_optimizer(stage.optimizer, groups)
    except (TypeError, ValueError) as error:
        message = f"it cannot be created: {error}"
        raise WiringError(message, key=f"{key}.optimizer") from error
    frozen = {name: parameter for name, parameter in named.items() if name not in trainable}
    verify_groups(optimizer, trainable, frozen)
    refuse_optimizer(stage, optimizer, key)
    return optimizer


def connect(
    run: StageRun,
    experiment: Experiment,
    prepare: Callable[..., Any],
    scaler: torch.amp.GradScaler | None,
    device: torch.device,
) -> None:
    """Set up a stage's module, backward pass and optimizer step: single process, data parallel or DeepSpeed.

    Args:
        run: The stage.
        experiment: Sets compilation, parallelism and the policy for numbers that are not finite.
        prepare: Wraps the module for mixed precision.
        scaler: The loss scaler of fp16, if any.
        device: Device of models and losses.

    Raises:
        TrainingError: DeepSpeed is not installed, or is combined with fp16 loss scaling or `log_grad_norm`.
    """
    module = compiled(run.distiller, experiment.compile)
    run.is_watched = not experiment.compile  # a compiled graph does not show its losses
    run.module = prepare(module, evaluation_mode=True)  # mixed precision only, see `DataParallel`
    sticky, clip = experiment.nonfinite != "skip", run.stage.clip_grad_norm
    if clip is None and experiment.log_grad_norm:
        clip = math.inf  # which changes no gradient
    learning, buffers = run.trainable.values(), KeptBuffers(run.distiller)
    if experiment.parallel == "deepspeed" and world_size() > 1:
        if experiment.log_grad_norm:
            message = "`log_grad_norm` is not available with `parallel: deepspeed`"
            raise TrainingError(message, hint="omit it")
        if scaler:
            message = "parallel: deepspeed does not support fp16 loss scaling"
            raise TrainingError(message, hint="precision: bf16")
        engine = ZeroEngine(run.module, learning, run.optimizer, clip_grad_norm=clip, buffers=buffers, sticky=sticky)
        run.parallel = run.backward = run.update = engine
        return
    is_split = isinstance(run.optimizer, SplitOptimizer)
    run.parallel = DataParallel(run.distiller, reduce_dtype=DTYPES[experiment.ddp.reduce_dtype], is_split=is_split)
    is_compiled = bool(experiment.compile)
    run.backward = make_backward(run.module, run.parallel, run.optimizer, scaler, is_compiled=is_compiled)
    guard = FiniteGuard(run.optimizer, device, buffers, sticky=sticky)
    run.update = Update(run.optimizer, learning, clip, scaler, guard)
