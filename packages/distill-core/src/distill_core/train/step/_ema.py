"""Exponential moving averages of models: `student_ema` beside `student`.

    θ_ema ← d · θ_ema + (1 − d) · θ   after each optimizer step; buffers are copied

The average is a model like any other: metrics and losses tap it by its name. As a teacher it is that of Antti Tarvainen,
Harri Valpola. "Mean teachers are better role models". NeurIPS 2017. https://arxiv.org/abs/1703.01780

A step of (1 − d) · θ is below the resolution of bfloat16 and float16. The average of such a parameter is therefore kept
in float32, and the model holds it rounded to its own dtype.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

from ...errors import TrainingError, WiringError, did_you_mean
from ..parallel import SUFFIX, like, local, read_stored


class _Pair(NamedTuple):
    decay: float
    average: nn.Module
    model: nn.Module


class EMA:
    """Exponential moving averages of models.

    Args:
        models: All models by name; the averages are added, `student_ema` for `student`.
        decays: Model → d, from 0 to 1.

    Raises:
        WiringError: A model does not exist, or its decay is not from 0 to 1.
    """

    def __init__(self, models: dict[str, nn.Module], decays: Mapping[str, float]) -> None:
        self.decays = dict(decays)
        self._pairs: dict[str, _Pair] = {}
        self._float32: dict[str, dict[str, Tensor]] = {}
        for name, decay in decays.items():
            if name not in models:
                message = f"there is no model '{name}'"
                raise WiringError(message, key="ema", hint=did_you_mean(name, models))
            if not 0 <= decay <= 1:
                message = f"the decay of '{name}' is from 0 to 1, not {decay}"
                raise WiringError(message, key="ema")
            average = _copy(models[name])
            self._pairs[name + SUFFIX] = _Pair(decay, average, models[name])
            models[name + SUFFIX] = average

    @property
    def names(self) -> list[str]:
        """The names of the EMA copies."""
        return list(self._pairs)

    def initialise(self) -> None:
        """Initialise the average of a lazy model with the tensors that the model has now."""
        for _, average, model in self._pairs.values():
            lazy = {name for name, tensor in average.state_dict().items() if is_lazy(tensor)}
            if lazy:
                values = {name: value for name, value in model.state_dict().items() if name in lazy}
                average.load_state_dict(values, strict=False)
                average.requires_grad_(False)

    def update(self) -> None:
        """Move each average towards its model as it is now."""
        if self._pairs:
            self._update()

    @torch.no_grad()
    def _update(self) -> None:
        for name, (decay, average, model) in self._pairs.items():
            exact = self._exact(name)
            means = dict(average.named_parameters())
            targets = [local(exact.get(key, mean)) for key, mean in means.items()]
            values = [local(value).to(mean.dtype) for mean, value in zip(targets, model.parameters(), strict=True)]
            torch._foreach_lerp_(targets, values, 1 - decay)
            if exact:
                torch._foreach_copy_([local(means[key]) for key in exact], [local(mean) for mean in exact.values()])
            if buffers := list(average.buffers()):
                torch._foreach_copy_(buffers, list(model.buffers()))

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Return the float32 averages of parameters that their model holds rounded, by model and name."""
        return {name: dict(self._exact(name)) for name in self._pairs}

    def load_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore what `state` returned, after the models have their weights.

        Raises:
            TrainingError: The state is of other parameters.
        """
        self._float32 = {}
        for name in self._pairs:
            exact, saved = self._exact(name), state.get(name, {})
            if exact.keys() != saved.keys():
                message = f"the checkpoint holds float32 averages of {len(saved)} parameters of '{name}', which has {len(exact)} in half precision"
                raise TrainingError(message)
            for key, value in read_stored(saved, exact).items():
                local(exact[key]).copy_(local(like(value, exact[key])))

    def _exact(self, name: str) -> dict[str, Tensor]:
        """Return the float32 averages of one model; they start as its parameters, once these are on their device."""
        if name not in self._float32:
            parameters = self._pairs[name].average.named_parameters()
            self._float32[name] = {key: value.detach().float() for key, value in parameters if _is_half(value)}
        return self._float32[name]


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy of the model that does not learn; torch does not copy a lazy buffer by itself."""
    lazy = [buffer for buffer in model.buffers() if is_lazy(buffer)]
    make: Any = UninitializedBuffer  # its stub takes no arguments
    made = {id(buffer): make(device=buffer.device, dtype=buffer.dtype) for buffer in lazy}
    average = copy.deepcopy(model, made).eval()
    for parameter in average.parameters():
        if not is_lazy(parameter):  # those follow in `make`
            parameter.requires_grad_(False)
    return average


def _is_half(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype.itemsize < torch.float32.itemsize
