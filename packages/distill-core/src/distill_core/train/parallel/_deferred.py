"""Weights of models on the meta device, read by each process as far as it holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...distributed import is_dtensor
from ...errors import TrainingError
from ...weights import deferred_weights, misfit, other_shapes, safetensors_files
from ._shard_files import read_into, shapes_in
from ._tied_names import tied_names


def read_deferred(models: Mapping[str, nn.Module], device: torch.device) -> None:
    """Read the complete weights of the models that are on the meta device until then.

    Raises:
        TrainingError: The files do not fit a model, or it has buffers that no file holds.
    """
    for name, model in models.items():
        if deferred_weights(model) is not None:
            fill_buffers(name, model, device)
            fill(name, model, device)


def fill_buffers(name: str, model: nn.Module, device: torch.device) -> None:
    """Give the buffers that no file holds their values, as the model of transformers initialises them.

    Raises:
        TrainingError: The model cannot initialise them.
    """
    initialise: Any = getattr(model, "_init_weights", None)
    for path, module in model.named_modules():
        unsaved = [key for key in module._non_persistent_buffers_set if getattr(module, key) is not None]  # noqa: SLF001
        if unsaved and initialise is None:
            buffer = ".".join(filter(None, (path, unsaved[0])))
            message = f"'{name}' has the non-persistent buffer '{buffer}', which no file of weights holds"
            raise TrainingError(message, key=f"models.{name}", hint="build it without `deferred`")
        for key in unsaved:
            setattr(module, key, torch.empty_like(getattr(module, key), device=device))
        if unsaved:
            with torch.no_grad():
                initialise(module)


def fill(name: str, model: nn.Module, device: torch.device) -> None:
    """Read the weights of a model on the meta device, of sharded tensors the shards of this process.

    Raises:
        TrainingError: The files do not fit the model.
    """
    place = deferred_weights(model)
    if place is None:
        return
    files = safetensors_files(place)
    own: dict[str, Tensor] = model.state_dict()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    tied = tied_names(model)
    shapes: dict[str, Any] = {key: torch.empty(shape, device="meta") for key, shape in shapes_in(files).items()}
    needed = {tied.get(key, key) for key in own}
    source = {key: next((k for k in own if tied.get(k, k) == key and k in shapes), key) for key in needed}
    missing = [f"{key} is missing in the file" for key in sorted(needed) if source[key] not in shapes]
    surplus = [f"{key} is not in the model" for key in sorted(shapes.keys() - own.keys())]
    if wrong := [*missing, *surplus, *other_shapes(shapes, own).values()]:
        raise TrainingError(str(misfit(place, model, wrong)), key=f"models.{name}")
    targets = {key: _empty(own[key], device) for key in needed}
    read_into({source[key]: target for key, target in targets.items()}, files)
    values = {
        key: nn.Parameter(target, parameters[key].requires_grad) if key in parameters else target
        for key, target in targets.items()
    }
    model.load_state_dict({key: values[tied.get(key, key)] for key in own}, assign=True)
    delattr(model, "deferred_weights")


def _empty(tensor: Tensor, device: torch.device) -> Tensor:
    """Return an uninitialised tensor on a device for one on the meta device."""
    if not is_dtensor(tensor):
        return torch.empty_like(tensor, device=device)
    from torch.distributed.tensor import DTensor

    own = torch.empty_like(tensor.to_local(), device=device)
    return DTensor.from_local(
        own, tensor.device_mesh, tensor.placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )
