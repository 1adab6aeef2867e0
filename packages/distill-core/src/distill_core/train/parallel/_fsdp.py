"""Models sharded by FSDP2, and their unsharded tensors for files.

Yanli Zhao et al. "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel". VLDB 2023.
https://doi.org/10.14778/3611540.3611569
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ...distributed import is_dtensor, rank, world_size
from ...errors import WiringError, did_you_mean
from ...experiment import Experiment, FSDPSettings
from ...weights import deferred_weights
from ._deferred import fill
from ._shard_files import read_stored
from ._tied_names import tied_names

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

SUFFIX = "_ema"  # of an average's name
DTYPES = {None: None, "fp32": torch.float32, "bf16": torch.bfloat16}
"""The dtypes that `ddp` and `fsdp` name."""


def sharded_names(experiment: Experiment, models: Mapping[str, nn.Module]) -> list[str]:
    """Return the names of the models that a run of several processes shards, each with its EMA copy."""
    names = list(experiment.shard)
    if not names and experiment.parallel == "fsdp":
        names = [name for name in models if not name.startswith("teacher")]
    return [*names, *(name + SUFFIX for name in names if name in experiment.ema and name + SUFFIX not in names)]


def shard_models(
    models: Mapping[str, nn.Module],
    names: Sequence[str],
    device: torch.device,
    settings: FSDPSettings,
    mesh: DeviceMesh | None = None,
) -> None:
    """Shard some models over all processes, block by block; do nothing in a single process.

    Args:
        models: All models by name, with the same values on all processes.
        names: The models to shard.
        device: Where they are.
        settings: How they are gathered, and where their shards are kept.
        mesh: The processes; all by default.

    Raises:
        WiringError: A model does not exist.
    """
    for name in names:
        if name not in models:
            message = f"there is no model '{name}'"
            raise WiringError(message, key="shard", hint=did_you_mean(name, models))
    if world_size() == 1 or not names:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

    gathered = DTYPES[settings.param_dtype]
    reduced = DTYPES[settings.reduce_dtype or (settings.param_dtype and "fp32")]
    precision = MixedPrecisionPolicy(param_dtype=gathered, reduce_dtype=reduced)
    output = torch.float32 if gathered else None
    offload = CPUOffloadPolicy(pin_memory=device.type != "cpu") if settings.cpu_offload else OffloadPolicy()
    mesh = mesh or init_device_mesh(device.type, (world_size(),))
    for name in names:
        is_deferred = deferred_weights(models[name]) is not None
        for tensor in () if is_deferred else (*models[name].parameters(), *models[name].buffers()):
            dist.broadcast(tensor.detach(), 0)
        for block in blocks(models[name]):
            reshard_after = settings.reshard_after_forward
            fully_shard(
                block, mesh=mesh, reshard_after_forward=reshard_after, mp_policy=precision, offload_policy=offload
            )
        root = replace(precision, output_dtype=output)
        fully_shard(models[name], mesh=mesh, mp_policy=root, offload_policy=offload)
        fill(name, models[name], device)


def blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that are gathered one at a time: the entries of the outermost lists that have parameters.

    >>> [type(block).__name__ for block in blocks(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))]
    ['Linear', 'Linear']
    """
    for child in model.children():
        if isinstance(model, nn.Sequential | nn.ModuleList):
            if any(True for _ in child.parameters()):
                yield child
        else:
            yield from blocks(child)


def is_sharded(module: nn.Module) -> bool:
    """Return whether a submodule is sharded."""
    return any(True for _ in _sharded_parts(module))


def reshard(module: nn.Module) -> None:
    """Reshard the modules that a forward pass without a backward pass left gathered; FSDP keeps the outermost so."""
    for part in _sharded_parts(module):
        part.reshard()


def _sharded_parts(module: nn.Module) -> Iterator[FSDPModule]:
    """Yield the sharded submodules. Without `torch.distributed.fsdp`, which takes long to import, none exists."""
    if fsdp := sys.modules.get("torch.distributed.fsdp"):
        yield from (part for part in module.modules() if isinstance(part, fsdp.FSDPModule))


def synchronise(module: nn.Module, *, last: bool) -> None:
    """Set whether the next backward pass sums the gradients of sharded modules over the processes."""
    for part in _sharded_parts(module):
        part.set_requires_gradient_sync(last, recurse=False)


def let_learn(module: nn.Module) -> None:
    """Tell FSDP what learns in this stage; it looks only once by itself."""
    for part in _sharded_parts(module):
        state = part._get_fsdp_state()  # noqa: SLF001  no public way exists
        groups = state._fsdp_param_groups if hasattr(state, "_fsdp_param_groups") else [state._fsdp_param_group]  # noqa: SLF001
        for group in groups:
            for entry in group.fsdp_params if group else ():
                if hasattr(entry, "_unsharded_param"):
                    entry._unsharded_param.requires_grad_(entry.sharded_param.requires_grad)  # noqa: SLF001


def local(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor."""
    return tensor.to_local() if is_dtensor(tensor) else tensor


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a module that may be sharded; tied parameters are one tensor."""
    state: dict[str, Tensor] = module.state_dict()
    tied = tied_names(module)
    return {name: state[tied.get(name, name)] for name in state}


def weights_on_main(module: nn.Module) -> dict[str, Tensor]:
    """Return the unsharded state dict of a module in the main process. A collective operation.

    Each shard is sent to the main process alone. The others get an empty mapping if the module is sharded.
    """
    state, tied = weights_of(module), tied_names(module)
    if not any(map(is_dtensor, state.values())):
        return state
    own = {
        name: _on_main(tensor) if is_dtensor(tensor) else tensor for name, tensor in state.items() if name not in tied
    }
    return {} if rank() else {name: own[tied.get(name, name)] for name in state}


def _on_main(tensor: DTensor) -> Tensor:
    """Return a tensor that is sharded by its first dimension, complete in host memory of the main process."""
    own = tensor.to_local().detach().to(tensor.device_mesh.device_type)
    padded = own.new_zeros(-(-tensor.shape[0] // world_size()), *tensor.shape[1:])
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in range(world_size())] if rank() == 0 else None
    dist.gather(padded, parts)
    return torch.cat(parts)[: tensor.shape[0]].cpu() if parts else own


def load_unsharded(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load unsharded or stored tensors into a module that may be sharded."""
    own = module.state_dict()
    values = read_stored(weights, own)
    module.load_state_dict({name: like(value, own.get(name)) for name, value in values.items()})


def load_unsharded_optimizer(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Load unsharded or stored tensors into an optimizer of parameters that may be sharded."""
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    owners = dict(zip(numbers, parameters, strict=True))
    flat = {(number, name): value for number, entry in state["state"].items() for name, value in entry.items()}
    entries: dict[Any, dict[str, Any]] = {number: {} for number in state["state"]}
    for (number, name), value in read_stored(flat, {key: owners[key[0]] for key in flat}).items():
        entries[number][name] = like(value, owners[number])
    optimizer.load_state_dict({**state, "state": entries})


def clip_sharded(parameters: Iterable[nn.Parameter], most: float) -> Tensor | None:
    """Clip the gradient norm where some gradients are sharded and others are not; return it, if there are gradients."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return None
    spread = [local(gradient).double().square().sum() for gradient in gradients if is_dtensor(gradient)]
    same = [gradient.double().square().sum() for gradient in gradients if not is_dtensor(gradient)]
    total = torch.stack(spread).sum() if spread else local(gradients[0]).new_zeros((), dtype=torch.double)
    if (mesh := next((gradient.device_mesh for gradient in gradients if is_dtensor(gradient)), None)) is not None:
        total = total.to(mesh.device_type)  # shards in host memory: the backend sends tensors of the device
    dist.all_reduce(total)
    norm = (total + (torch.stack(same).sum() if same else 0)).sqrt()
    scale = (most / (norm + 1e-6)).clamp(max=1).float()
    for gradient in map(local, gradients):
        gradient.mul_(scale.to(gradient.device))
    return norm


def like(value: Any, owner: Any) -> Any:
    """Return this process's shard of `value`, if it has the shape of `owner`, in the memory layout of `owner`.

    A fused optimizer goes through parameter and state as they lie in memory: with another layout, it would mix up entries.
    """
    if not isinstance(value, Tensor) or is_dtensor(value) or is_lazy(owner) or value.shape != owner.shape:
        return value
    if not is_dtensor(owner):
        return torch.empty_like(owner, dtype=value.dtype).copy_(value)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(owner.device), owner.device_mesh, owner.placements, src_data_rank=None)
