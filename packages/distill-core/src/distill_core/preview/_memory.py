"""Memory of a training step on one of several processes, by part, measured on tensors without data.

The step runs as in training: models sharded by FSDP2, blocks recomputed, losses, backward pass and optimizer. Its tensors
are torch's fake tensors and its processes a fake process group, so it needs neither memory nor other processes. torch's
`MemTracker` counts what would be allocated.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..data import Loader, SeedPath
from ..distributed import is_dtensor
from ..errors import TrainingError
from ..experiment import Experiment
from ..layers import without_values
from ..taps import BATCH, Tap
from ..train import ResolvedStage, StageRun, block_forwards, prepare_stage, resolved_stages
from ..train.parallel import shard_models, sharded_names
from ..train.step import EMA
from ..train.teachers import Caches
from ..tree import map_tensors, tensors
from ._example_batch import example_batch, loader_of
from ._meta_copy import on_meta
from ._shapes import as_if_compiled

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class StageMemory:
    """Bytes on one process when a step of a stage needs the most, by part.

    Attributes:
        parameters: Parameters and buffers of all models and losses; of sharded models the shards.
        gradients: Gradients, those of sharded parameters as shards. Those of replicated ones are always there, in the buckets
            of `DistributedDataParallel`.
        optimizer: The optimizer's state.
        activations: What the forward keeps for the backward pass, with gathered parameters and tapped tensors.
        temporary: Other tensors at that moment, such as gradients of activations.
        logits: Outputs of models that losses read; a part of the activations.
        cache: Values of a batch that are read from caches.
        total: All but `logits` and `cache`.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    temporary: int
    logits: int
    cache: int
    total: int


def predict_memory(experiment: Experiment, processes: int = 1) -> list[StageMemory]:
    """Return the memory of a step of each stage on the first process, which holds at least as much as any other.

    Activations are those of torch's operators on the CPU: fused attention of a GPU may keep less. Losses over a vocabulary
    have the chunks of a GPU. Neither the allocator's rounding is counted nor what `compile` saves.

    Args:
        experiment: The experiment; its models are not changed.
        processes: Number of processes.

    Raises:
        TrainingError: A step cannot run without data, or this is a process of a group.
    """
    if dist.is_initialized():
        message = "the memory of several processes is predicted in a process that has no process group"
        raise TrainingError(message)
    experiment = replace(on_meta(experiment), compile=False, compile_blocks={})
    stages = resolved_stages(experiment)
    data = [stage.data if stage.data is not None else experiment.data["train"] for stage in stages]
    batches = [example_batch(each, SeedPath(experiment.seed, index)) for index, each in enumerate(data)]
    loaders = [loader_of(each) for each in data]
    with _fake_tensors(processes) as mesh:
        models = dict(experiment.models)
        _as_fake([*models.values(), *_losses(experiment)])
        EMA(models, experiment.ema)
        shard_models(models, sharded_names(experiment, models), _CPU, experiment.fsdp, mesh)
        with block_forwards(models, experiment):
            experiment = replace(experiment, models=models)
            return [_stage_memory(experiment, *each) for each in zip(stages, batches, loaders, data, strict=True)]


def _stage_memory(
    experiment: Experiment, stage: ResolvedStage, example: Mapping[str, Any], loader: Loader | None, data: Any
) -> StageMemory:
    batch = {name: map_tensors(value, _fake) for name, value in example.items()}
    averages, models = [f"{name}_ema" for name in experiment.ema], experiment.models
    run = prepare_stage(models, stage, 0, loader, lambda: batch, _CPU, averages, Caches(experiment), data=data)
    buckets = _buckets(run)
    try:
        _step(run, experiment, batch, buckets)  # creates the optimizer's state
        tracker = _tracker([*models.values(), *_losses(experiment)])
        tracker.track_external(
            *models.values(), *_losses(experiment), run.optimizer, *tensors(batch), *buckets.values()
        )
        with tracker:
            tapped = _step(run, experiment, batch, buckets)
        found: dict[Any, int] = next(iter(tracker.get_tracker_snapshot("peak").values()))
    except Exception as error:
        message = f"a step cannot run without data, so its memory is not known: {type(error).__name__}: {error}"
        raise TrainingError(message) from error
    finally:
        run.end()
    parts = {getattr(kind, "value", kind): size for kind, size in found.items()}
    cached = set(experiment.cache)
    return StageMemory(
        parameters=parts["Parameter"] + parts["Buffer"],
        gradients=parts["Gradient"],
        optimizer=parts["Optstate"],
        activations=parts["Activation"],
        temporary=parts["Temp"] + parts["Other"],
        logits=sum(size for tap, size in tapped.items() if not tap.path and tap.source != BATCH),
        cache=sum(size for tap, size in tapped.items() if tap.source in cached),
        total=parts["Total"],
    )


def _tracker(modules: Sequence[nn.Module]) -> Any:
    """Return torch's tracker, without the hooks for gradients that frozen parameters refuse."""
    from torch.distributed._tools.mem_tracker import MemTracker

    tracker: Any = MemTracker()
    nothing = RemovableHandle(OrderedDict())
    for parameter in (parameter for module in modules for parameter in module.parameters()):
        if not parameter.requires_grad:
            tracker._param_to_grad_hook_handles[parameter] = (nothing, nothing)  # noqa: SLF001  no other way
    return tracker


def _buckets(run: StageRun) -> dict[nn.Parameter, Tensor]:
    """Return a tensor for the gradient of each replicated parameter; `DistributedDataParallel` keeps them between steps."""
    if not dist.is_initialized():
        return {}
    replicated = [parameter for parameter in run.trainable.values() if not is_dtensor(parameter)]
    return {parameter: torch.empty_like(parameter.detach()) for parameter in replicated}


def _step(
    run: StageRun, experiment: Experiment, batch: Mapping[str, Any], buckets: Mapping[nn.Parameter, Tensor]
) -> dict[Tap, int]:
    """Run a training step; return the bytes of each tapped value."""
    precision = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(experiment.precision)
    autocast = torch.autocast("cpu", precision) if precision else contextlib.nullcontext()
    sizes: dict[Tap, int] = {}

    def note(name: str, loss: Any, arguments: Mapping[str, Any]) -> Any:
        for parameter, tap in run.distiller.wirings[name].inputs.items():
            for each, value in zip(
                *((tap, arguments[parameter]) if isinstance(tap, tuple) else ([tap], [arguments[parameter]])),
                strict=True,
            ):
                sizes[each] = sum(tensor.nbytes for tensor in tensors(value))
        with as_if_compiled(False):  # a compiled loss recomputes its logits
            return loss(**arguments)

    run.distiller.watch = note
    for parameter, bucket in buckets.items():
        parameter.grad = bucket
    with as_if_compiled(), without_values():  # models that read values decide by shapes instead, in recomputation too
        with autocast:
            totals, _ = run.distiller(batch, run.weights(0, 0))
        sum(totals[1:], totals[0]).backward()
    run.optimizer.step()
    for parameter in run.trainable.values():
        parameter.grad = None
    return sizes


@contextlib.contextmanager
def _fake_tensors(processes: int) -> Iterator[Any]:
    """Let this process believe that it is the first of several, with tensors without data."""
    import torch.distributed._tools.fake_collectives  # noqa: F401  registers shapes of collective operations
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    mesh = None
    if processes > 1:
        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=processes)
        mesh = init_device_mesh("cpu", (processes,))
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield mesh
    finally:
        if processes > 1:
            dist.destroy_process_group()


def _as_fake(modules: Sequence[nn.Module]) -> None:
    """Replace the tensors of modules by fake ones on the CPU; shared ones stay shared."""
    memo: dict[int, Any] = {}
    for module in (part for each in modules for part in each.modules()):
        for named in (module._parameters, module._buffers):  # noqa: SLF001  the only way to replace shared ones
            for name, tensor in named.items():
                if tensor is not None:
                    named[name] = memo.setdefault(id(tensor), _fake_owner(tensor))


def _fake_owner(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor.detach(), device=_CPU)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _fake(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device=_CPU)


def _losses(experiment: Experiment) -> list[nn.Module]:
    terms = [term for stage in experiment.stages if isinstance(stage.losses, Mapping) for term in stage.losses.values()]
    return [term.loss for term in terms if isinstance(term.loss, nn.Module)]
