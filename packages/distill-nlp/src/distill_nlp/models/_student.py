"""Students initialised with a subset of their teacher's weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distill_core.errors import DistillError

SIDE_BY_SIDE = "attn.c_attn"
"""GPT-2's layer of queries, keys and values, side by side in one matrix. Other models interleave them per head."""


def student_from(teacher: nn.Module, layers: Sequence[int], *, width: int | None = None) -> nn.Module:
    """Build a model of the teacher's class, initialised with the teacher's weights, in torch's default dtype.

    Args:
        teacher: A model of transformers. It is not modified.
        layers: Indices of the teacher's layers to keep, in order: `[0, 2, 4]`. Negative indices count from the end.
        width: A smaller width: the first `width` hidden units, the first heads, and the same fraction of the feed-forward
            units. Such a student must be trained.

    Raises:
        DistillError: A layer does not exist, the weights are quantized, or the model cannot be narrowed.

    >>> from distill_nlp.models import tiny_bert
    >>> student = student_from(tiny_bert(vocab_size=9, layers=4), [0, -1])
    >>> student.config.num_hidden_layers
    2
    """
    config: Any = getattr(teacher, "config", None)
    stack = _stack(teacher, getattr(config, "num_hidden_layers", None))
    count = config.num_hidden_layers
    wrong = [layer for layer in layers if not -count <= layer < count]
    if wrong or not layers:
        given = f"{wrong}" if wrong else "an empty list"
        message = f"`layers` of {type(teacher).__name__} must be from 0 to {count - 1}, got {given}"
        raise DistillError(message)
    if packed := [name for name, tensor in teacher.named_parameters() if not tensor.is_floating_point()]:
        message = (
            f"the weights of {type(teacher).__name__} are quantized: '{packed[0]}' is not of a floating-point dtype"
        )
        raise DistillError(message, hint="load it without quantization, or call its `dequantize()`")
    chosen = [layer % count for layer in layers]
    smaller = _config(config, chosen, width)
    state = teacher.state_dict()
    fused = {name for name, tensor in state.items() if 3 * config.hidden_size in tensor.shape}
    if width is not None and not all(name.rpartition(".")[0].endswith(SIDE_BY_SIDE) for name in fused):
        message = f"{type(teacher).__name__} has queries, keys and values in one matrix and cannot be narrowed"
        raise DistillError(message, hint="omit `width`")
    student: nn.Module = type(teacher)(smaller)
    if (generation := getattr(teacher, "generation_config", None)) is not None:
        student.generation_config = copy.deepcopy(generation)
    _copy(student, _chosen_state(state, stack, chosen), is_narrower=width is not None)
    return student.train(teacher.training)


def _stack(model: nn.Module, count: int | None) -> str:
    """Return the path of the module list that holds the layers."""
    paths = [
        name for name, module in model.named_modules() if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if len(paths) != 1:
        message = f"{type(model).__name__} must have one module list of {count} layers, got {len(paths)}"
        raise DistillError(message)
    return str(paths[0])


def _config(config: Any, chosen: list[int], width: int | None) -> Any:
    smaller = copy.deepcopy(config)
    if hasattr(smaller, "quantization_config"):
        del smaller.quantization_config  # the student has plain weights
    smaller.num_hidden_layers = len(chosen)
    if isinstance(kinds := getattr(config, "layer_types", None), list):
        smaller.layer_types = [kinds[layer] for layer in chosen]
    if width is None:
        return smaller
    head = config.hidden_size // config.num_attention_heads
    if width % head or not 0 < width <= config.hidden_size:
        message = f"`width` must be a multiple of {head}, the size of a head, up to {config.hidden_size}, got {width}"
        raise DistillError(message)
    smaller.hidden_size, smaller.num_attention_heads = width, width // head
    for name in ("intermediate_size", "n_inner"):
        if getattr(config, name, None):
            setattr(smaller, name, getattr(config, name) * width // config.hidden_size)
    return smaller


def _chosen_state(state: Mapping[str, Tensor], stack: str, chosen: list[int]) -> dict[str, Tensor]:
    """Return the teacher's tensors by their names in the student."""
    others = {name: tensor for name, tensor in state.items() if not name.startswith(f"{stack}.")}
    for index, layer in enumerate(chosen):
        prefix = f"{stack}.{layer}."
        others |= {
            f"{stack}.{index}.{name.removeprefix(prefix)}": t for name, t in state.items() if name.startswith(prefix)
        }
    return others


@torch.no_grad()
def _copy(student: nn.Module, state: Mapping[str, Tensor], *, is_narrower: bool) -> None:
    for name, tensor in student.state_dict().items():
        theirs = state[name]
        if is_narrower and name.rpartition(".")[0].endswith(SIDE_BY_SIDE):
            pairs = zip(tensor.chunk(3, dim=-1), theirs.chunk(3, dim=-1), strict=True)
        else:
            pairs = zip([tensor], [theirs], strict=True)
        for target, source in pairs:
            target.copy_(source[tuple(slice(0, size) for size in target.shape)])
