"""Students that are parts of their teachers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distill_core.errors import DistillError

SIDE_BY_SIDE = "attn.c_attn"
"""Where GPT-2 has queries, keys and values, one beside the other in one matrix; other models mix them head by head."""


def student_from(teacher: nn.Module, layers: Sequence[int], *, width: int | None = None) -> nn.Module:
    """A new model of the teacher's class that begins with the teacher's weights.

    Args:
        teacher: A model of transformers; it stays as it is.
        layers: Which of its layers the student has, from 0, in their order: `[0, 2, 4]`. Negative numbers count from
            the end.
        width: A smaller width of the hidden states: the first `width` of them, the first heads, and as large a part of
            the feed-forward layers. That is a start, not a copy: it has to be trained.

    Raises:
        DistillError: There is no such layer, or the model cannot be narrowed.

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
        message = (
            f"{type(teacher).__name__} has the layers 0 to {count - 1}, not {wrong}" if wrong else "`layers` is empty"
        )
        raise DistillError(message)
    chosen = [layer % count for layer in layers]
    smaller = _config(config, chosen, width)
    state = teacher.state_dict()
    fused = {name for name, tensor in state.items() if 3 * config.hidden_size in tensor.shape}
    if width is not None and not all(name.rpartition(".")[0].endswith(SIDE_BY_SIDE) for name in fused):
        message = f"{type(teacher).__name__} keeps queries, keys and values in one matrix and cannot be narrowed\n  hint: leave `width` out"
        raise DistillError(message)
    student: nn.Module = type(teacher)(smaller)
    _copy(student, _chosen_state(state, stack, chosen), is_narrower=width is not None)
    return student.train(teacher.training)


def _stack(model: nn.Module, count: int | None) -> str:
    """The path of the list that holds the layers."""
    found = [
        name for name, module in model.named_modules() if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if len(found) != 1:
        message = f"{type(model).__name__} has {len(found)} lists of as many layers as its config says, not one"
        raise DistillError(message)
    return str(found[0])


def _config(config: Any, chosen: list[int], width: int | None) -> Any:
    smaller = copy.deepcopy(config)
    smaller.num_hidden_layers = len(chosen)
    if isinstance(kinds := getattr(config, "layer_types", None), list):
        smaller.layer_types = [kinds[layer] for layer in chosen]
    if width is None:
        return smaller
    head = config.hidden_size // config.num_attention_heads
    if width % head or not 0 < width <= config.hidden_size:
        message = f"the width is a multiple of {head}, that of a head, and at most {config.hidden_size}, not {width}"
        raise DistillError(message)
    smaller.hidden_size, smaller.num_attention_heads = width, width // head
    for name in ("intermediate_size", "n_inner"):
        if getattr(config, name, None):
            setattr(smaller, name, getattr(config, name) * width // config.hidden_size)
    return smaller


def _chosen_state(state: Mapping[str, Tensor], stack: str, chosen: list[int]) -> dict[str, Tensor]:
    """The teacher's tensors by the names that they have in the student."""
    others = {name: tensor for name, tensor in state.items() if not name.startswith(f"{stack}.")}
    for place, layer in enumerate(chosen):
        prefix = f"{stack}.{layer}."
        others |= {
            f"{stack}.{place}.{name.removeprefix(prefix)}": t for name, t in state.items() if name.startswith(prefix)
        }
    return others


@torch.no_grad()
def _copy(student: nn.Module, state: Mapping[str, Tensor], *, is_narrower: bool) -> None:
    for name, tensor in student.state_dict().items():
        theirs = state[name]
        if is_narrower and name.rpartition(".")[0].endswith(SIDE_BY_SIDE):
            parts = zip(tensor.chunk(3, dim=-1), theirs.chunk(3, dim=-1), strict=True)
        else:
            parts = zip([tensor], [theirs], strict=True)
        for part, whole in parts:
            part.copy_(whole[tuple(slice(0, size) for size in part.shape)])
