"""Optimizers that are given two gradients: the task's, and that of the losses of distillation.

A `Term` with `separate_gradient: true` hands its gradient to such an optimizer apart from that of the others.
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
    """An optimizer of two gradients: `.grad` of each parameter is the task's, the other one is kept beside it.

    Attributes:
        gradients_apart: The other gradient of each parameter that has one.

    Args:
        params: Parameters or groups of them.
        defaults: Options of a group that leaves them out.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        self.gradients_apart: dict[Tensor, Tensor] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("gradients_apart", {})  # a copy begins without

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """In its body `.grad` is the other gradient: for the backward pass of what is to be apart."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget both gradients."""
        super().zero_grad(set_to_none)
        self.gradients_apart.clear()

    def _exchange(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                others, parameter.grad = parameter.grad, self.gradients_apart.pop(parameter, None)
                if others is not None:
                    self.gradients_apart[parameter] = others


@final
class DOT(SplitOptimizer):
    """The distillation-oriented trainer: SGD with a smaller momentum for the task, a larger one for distillation.

        v_task ← (μ − Δ) · v_task + g_task + λ · θ
        v_kd   ← (μ + Δ) · v_kd + g_kd
        θ      ← θ − lr · (v_task + v_kd)

    With Δ = 0 it is SGD with momentum μ. Where only one of the two gradients reaches a parameter, the other one is 0.

    Paper: DOT: A Distillation-Oriented Trainer
    Authors: Borui Zhao, Quan Cui, Renjie Song, Jiajun Liang
    Venue: ICCV
    Year: 2023
    Link: https://arxiv.org/abs/2307.08436

    The weight decay λ goes with the task's gradient, as in the authors' code; which gives the momentum μ to parameters
    that one of the gradients does not reach (the layers of a loss), where this follows the formula.

    Args:
        params: Parameters or groups of them.
        lr: The learning rate.
        momentum: μ.
        delta: Δ, from 0 to μ; μ + Δ is below 1. The paper has 0.075 on CIFAR-100 and 0.09 on ImageNet, with μ = 0.9.
        weight_decay: λ.
        nesterov: Whether each of the two steps is g + momentum · v instead of v; not in the paper.

    Raises:
        ValueError: A number is out of its range.

    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = DOT([weight], lr=0.1, momentum=0.5, delta=0.25)
    >>> for _ in range(2):
    ...     with optimizer.apart():
    ...         (2 * weight).sum().backward()  # distillation; retain_graph=True where both share a graph
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
        """Add parameters with options of their own, which are checked."""
        options = {**self.defaults, **param_group}
        within("lr", options["lr"])
        within("weight_decay", options["weight_decay"])
        within("delta", options["delta"], 0, options["momentum"])
        if not options["momentum"] + options["delta"] < 1:
            message = f"`momentum` + `delta` must be below 1, not {options['momentum']} + {options['delta']}"
            raise ValueError(message)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters that a gradient reaches.

        Args:
            closure: Computes both gradients again and returns a loss, which is handed on.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            reached = [p for p in group["params"] if p.grad is not None or p in self.gradients_apart]
            if reached:
                task = [_or_zero(p.grad, p) for p in reached]
                kd = [_or_zero(self.gradients_apart.get(p), p) for p in reached]
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
    """One step of one group, in place; the gradients stay as they are."""
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
