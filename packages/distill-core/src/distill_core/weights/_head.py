"""Which part of a model is its head, for weights of another task."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..errors import DistillError, did_you_mean


class Head:
    """The modules of a model that may keep their new weights.

    Args:
        model: The model.
        others: Names of tensors that have another shape in the file, and those shapes.
        absent: Names in the model for which the file has nothing that fits.
        chosen: `True`: find the head; `False`: there is none; otherwise the names of its modules.

    Raises:
        DistillError: A chosen module does not exist.
    """

    def __init__(
        self,
        model: nn.Module,
        others: Mapping[str, Tensor],
        absent: Collection[str],
        chosen: bool | str | Sequence[str],
    ) -> None:
        if chosen is True:
            self.modules = _output_layers(model, others) + _last_part(model, set(absent) - others.keys())
        else:
            self.modules = [chosen] if isinstance(chosen, str) else list(chosen or ())
            known = [name for name, module in model.named_modules() if name and module.state_dict()]
            for name in self.modules:
                if name not in known:
                    message = f"new_head: {type(model).__name__} has no module '{name}' with weights"
                    raise DistillError(message, hint=did_you_mean(name, known))

    def holds(self, name: str) -> bool:
        """Whether a tensor of the model is the head's."""
        return any(name.startswith(f"{module}.") for module in self.modules)

    def replaces(self, name: str, loaded: Collection[str]) -> bool:
        """Whether a tensor of the file is of an old head: beside the new one, in no part that has been loaded."""
        for module in self.modules:
            parent = module.rpartition(".")[0]
            beside = f"{parent}." if parent else ""
            if name.startswith(beside):
                part = beside + name.removeprefix(beside).partition(".")[0]
                if not any(other == part or other.startswith(f"{part}.") for other in loaded):
                    return True
        return False


def _output_layers(model: nn.Module, others: Mapping[str, Tensor]) -> list[str]:
    """Linear and convolutional layers that differ in their number of outputs alone."""
    own = model.state_dict()
    found = []
    for name, tensor in others.items():
        layer = name.rpartition(".")[0]
        is_linear = isinstance(model.get_submodule(layer), nn.Linear | _ConvNd)
        if layer and is_linear and tensor.shape[1:] == own[name].shape[1:] and layer not in found:
            found.append(layer)
    return found


def _last_part(model: nn.Module, absent: Collection[str]) -> list[str]:
    """The last of the model's parts, if all that the file lacks is in it, it ends in outputs and is the smaller part."""
    path, part = "", model
    while parts := [(name, child) for name, child in part.named_children() if child.state_dict()]:
        name, part = parts[-1]
        path = f"{path}.{name}" if path else name
        if len(parts) > 1:
            break
    leaves = [module for module in part.modules() if any(True for _ in module.parameters(recurse=False))]
    ends_in_outputs = bool(leaves) and isinstance(leaves[-1], nn.Linear | _ConvNd)
    is_small = 2 * len(part.state_dict()) <= len(model.state_dict())
    is_all = all(name.startswith(f"{path}.") for name in absent)
    return [path] if absent and path and ends_in_outputs and is_small and is_all else []
