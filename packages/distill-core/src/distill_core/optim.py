"""Optimizers that take two gradients: that of the task and that of the distillation losses.

A `Term` with `separate_gradient: true` passes its gradient to such an optimizer separately from that of the other terms.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from .layers import within


class SplitOptimizer(Optimizer):
    """Base class of optimizers of two gradients: `.grad` of a parameter is the task's, the separate one is stored here.

    Attributes:
        separate_gradients: The separate gradient of each parameter that has one.

    Args:
        params: Parameters or parameter groups.
        defaults: Defaults of the options that a group omits.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        self.separate_gradients: dict[Tensor, Tensor] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("separate_gradients", {})  # a copy starts without gradients

    @contextlib.contextmanager
    def separate(self) -> Iterator[None]:
        """Swap the two gradients inside the `with` block, so that a backward pass adds to the separate one."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset both gradients."""
        super().zero_grad(set_to_none)
        self.separate_gradients.clear()

    def _exchange(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                current, parameter.grad = parameter.grad, self.separate_gradients.pop(parameter, None)
                if current is not None:
                    self.separate_gradients[parameter] = current


@final
class DOT(SplitOptimizer):
    """Distillation-oriented trainer (DOT): SGD with less momentum for the task and more for distillation.

        v_task ← (μ − Δ) · v_task + g_task + λ · θ
        v_kd   ← (μ + Δ) · v_kd + g_kd
        θ      ← θ − lr · (v_task + v_kd)

    Δ = 0 is SGD with momentum μ. A gradient that does not reach a parameter counts as 0.

    Paper: DOT: A Distillation-Oriented Trainer
    Authors: Borui Zhao, Quan Cui, Renjie Song, Jiajun Liang
    Venue: ICCV
    Year: 2023
    Link: https://arxiv.org/abs/2307.08436

    The weight decay λ is added to the task's gradient, as in the authors' code. Their code uses the momentum μ for
    parameters that only one gradient reaches (the layers of a loss); this class follows the formula.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        momentum: μ.
        delta: Δ, from 0 to μ, with μ + Δ < 1. The paper uses 0.075 on CIFAR-100 and 0.09 on ImageNet, with μ = 0.9.
        weight_decay: λ.
        nesterov: Use g + momentum · v instead of v in both steps. Not in the paper.

    Raises:
        ValueError: If a number is out of range.

    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = DOT([weight], lr=0.1, momentum=0.5, delta=0.25)
    >>> for _ in range(2):
    ...     with optimizer.separate():
    ...         (2 * weight).sum().backward()  # distillation; retain_graph=True if both share a graph
    ...     weight.sum().backward()  # the task
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> round(weight.item(), 4)  # 1 − 0.1 · (1 + 2) − 0.1 · (0.25 · 1 + 1 + 0.75 · 2 + 2)
    0.225
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        delta: float = 0.075,
        weight_decay: float = 0.0,
        *,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "delta": delta, "weight_decay": weight_decay, "nesterov": nesterov
        }  # fmt: skip
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group and check its options."""
        options = {**self.defaults, **param_group}
        within("lr", options["lr"])
        within("weight_decay", options["weight_decay"])
        within("delta", options["delta"], 0, options["momentum"])
        if not options["momentum"] + options["delta"] < 1:
            message = f"`momentum` + `delta` must be < 1, got {options['momentum']} + {options['delta']}"
            raise ValueError(message)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters that a gradient reaches.

        Args:
            closure: Function that recomputes both gradients and returns the loss, which is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            reached = [p for p in group["params"] if p.grad is not None or p in self.separate_gradients]
            if reached:
                task = [_or_zero(p.grad, p) for p in reached]
                kd = [_or_zero(self.separate_gradients.get(p), p) for p in reached]
                momenta = self._buffers(reached, "momentum_task"), self._buffers(reached, "momentum_kd")
                _update(reached, (task, kd), momenta, group)
        return loss

    def _buffers(self, parameters: Sequence[Tensor], name: str) -> list[Tensor]:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]


def _or_zero(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient


def _update(
    parameters: list[Tensor],
    gradients: tuple[list[Tensor], list[Tensor]],
    momenta: tuple[list[Tensor], list[Tensor]],
    options: Mapping[str, Any],
) -> None:
    """Update one group in place, without changing the gradients."""
    task, kd = gradients
    if options["weight_decay"]:
        task = list(torch._foreach_add(task, parameters, alpha=options["weight_decay"]))  # noqa: SLF001
    steps: list[list[Tensor]] = []
    for gradient, velocity, sign in ((task, momenta[0], -1), (kd, momenta[1], 1)):
        decay = options["momentum"] + sign * options["delta"]
        torch._foreach_mul_(velocity, decay)
        torch._foreach_add_(velocity, gradient)
        ahead = torch._foreach_add(gradient, velocity, alpha=decay) if options["nesterov"] else velocity  # noqa: SLF001
        steps.append(list(ahead))
    for step in steps:
        torch._foreach_add_(parameters, step, alpha=-options["lr"])
