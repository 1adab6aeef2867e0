"""The head of a model, which keeps its new weights when weights of another task are loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ..errors import DistillError, did_you_mean


class Head:
    """The modules of a model that keep their new weights.

    Args:
        model: The model.
        others: Tensors of the file whose shape differs from the model's, by name.
        absent: Names in the model without a matching tensor in the file.
        chosen: `True` detects the head, `False` means no head, otherwise the names of its modules.

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
            self.modules = _output_layers(model, others) + _last_child(model, set(absent) - others.keys())
        else:
            self.modules = [chosen] if isinstance(chosen, str) else list(chosen or ())
            known = [name for name, module in model.named_modules() if name and module.state_dict()]
            for name in self.modules:
                if name not in known:
                    message = f"new_head: {type(model).__name__} has no module '{name}' with weights"
                    raise DistillError(message, hint=did_you_mean(name, known))

    def holds(self, name: str) -> bool:
        """Return whether a tensor of the model belongs to the head."""
        return any(name.startswith(f"{module}.") for module in self.modules)

    def replaces(self, name: str, loaded: Collection[str]) -> bool:
        """Return whether a tensor of the file belongs to an old head: beside the new head, in a module without loaded weights."""
        for module in self.modules:
            parent = module.rpartition(".")[0]
            beside = f"{parent}." if parent else ""
            if name.startswith(beside):
                sibling = beside + name.removeprefix(beside).partition(".")[0]
                if not any(other == sibling or other.startswith(f"{sibling}.") for other in loaded):
                    return True
        return False


def _output_layers(model: nn.Module, others: Mapping[str, Tensor]) -> list[str]:
    """Return linear and convolutional layers that differ only in their number of outputs."""
    expected = model.state_dict()
    layers = []
    for name, tensor in others.items():
        layer = name.rpartition(".")[0]
        is_linear = isinstance(model.get_submodule(layer), nn.Linear | _ConvNd)
        if layer and is_linear and tensor.shape[1:] == expected[name].shape[1:] and layer not in layers:
            layers.append(layer)
    return layers


def _last_child(model: nn.Module, absent: Collection[str]) -> list[str]:
    """Return the last child module if it holds everything that the file lacks, ends in an output layer and is small."""
    path, last = "", model
    while children := [(name, child) for name, child in last.named_children() if child.state_dict()]:
        name, last = children[-1]
        path = f"{path}.{name}" if path else name
        if len(children) > 1:
            break
    leaves = [module for module in last.modules() if any(True for _ in module.parameters(recurse=False))]
    ends_in_outputs = bool(leaves) and isinstance(leaves[-1], nn.Linear | _ConvNd)
    is_small = 2 * len(last.state_dict()) <= len(model.state_dict())
    is_all = all(name.startswith(f"{path}.") for name in absent)
    return [path] if absent and path and ends_in_outputs and is_small and is_all else []
