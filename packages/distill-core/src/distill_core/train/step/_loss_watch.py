"""Watch losses on their first batch: over what they take a softmax, and whether they can teach anything."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...errors import Problem, WiringError
from ...tree import map_tensors
from ._degenerate import degenerate

_ATEN = torch.ops.aten
_SOFTMAX = (_ATEN._softmax.default, _ATEN._log_softmax.default)  # noqa: SLF001
_NLL = _ATEN.nll_loss2d_forward.default  # of (batch, classes, 1, positions)
_TOKENS = "permute to (batch, classes, tokens), or use a loss of tokens such as TokenCELoss or ForwardKLLoss"
_REACH = "name the models that should learn under `train`; losses do not pass gradients to a teacher"
_SCORE = "use MSELoss for a score, BCEWithLogitsLoss for yes or no"


class LossWatch:
    """Calls the losses of a stage for once under watch.

    Attributes:
        notes: Suspicious uses of the losses.
        degenerate: Name → the problem of a loss that cannot teach for the shapes of its inputs.

    Args:
        batch: The batch, whose token ids and tags have the shape (batch, tokens).
        names: The names of the losses; what is not known of one is taken to be fine.
        is_full: Whether no other batch has more samples.
    """

    def __init__(self, batch: Mapping[str, Any], names: Iterable[str], *, is_full: bool) -> None:
        self._is_full = is_full
        self.notes: list[Problem] = []
        self.degenerate: dict[str, Problem] = {}
        self._tokens = {
            tuple(value.shape): name
            for name, value in batch.items()
            if isinstance(value, Tensor) and value.dim() == 2 and not value.is_floating_point()
        }
        self._teaches = dict.fromkeys(names, True)
        self._has_gradient = dict(self._teaches)

    def __call__(self, name: str, loss: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Return what the loss gives."""
        watch = _Softmaxes()
        try:
            with watch:
                value = loss(**arguments)
        finally:
            self._note(f"losses.{name} ({type(loss).__name__})", watch.seen)
        is_over_one = any(shape[dim] == 1 for shape, dim in watch.seen if shape)
        if problem := degenerate(loss, arguments, value, with_classes=not is_over_one, with_batch=self._is_full):
            self.degenerate[name] = replace(problem, message=f"{type(loss).__name__}: {problem.message}")
        elif is_over_one:
            self._teaches[name] = not has_no_gradient(loss, arguments)
            what = "is always 1" if self._teaches[name] else "is always 1, so this loss teaches nothing"
            message = f"a softmax over one output {what}"
            self.notes.append(Problem(message, key=f"losses.{name} ({type(loss).__name__})", hint=_SCORE))
        self._has_gradient[name] = isinstance(value, Tensor) and value.requires_grad
        return value

    def refuse(self) -> None:
        """Refuse losses none of which can teach, and any that cannot for the shapes of its inputs.

        Raises:
            WiringError: Each of them takes its softmax over one output, or none depends on a parameter that learns, or one
                has no finite gradient for the shapes of its inputs.
        """
        for name, problem in self.degenerate.items():
            raise WiringError(problem.message, key=f"losses.{name}", hint=problem.hint)
        if not any(self._has_gradient.values()):
            message = (
                f"no parameter that learns has an influence on {', '.join(f'losses.{n}' for n in self._has_gradient)}"
            )
            raise WiringError(message, hint=_REACH)
        if not any(self._teaches.values()):
            message = f"{self.notes[-1].key}: {self.notes[-1].message}"
            raise WiringError(message, hint=self.notes[-1].hint)

    def _note(self, key: str, seen: Sequence[tuple[tuple[int, ...], int]]) -> None:
        messages = filter(None, dict.fromkeys(map(self._of_tokens, seen)))
        self.notes += [Problem(message, key=key, hint=_TOKENS) for message in messages]

    def _of_tokens(self, softmax: tuple[tuple[int, ...], int]) -> str:
        shape, dim = softmax
        if len(shape) != 3 or dim != 1 or shape[:2] not in self._tokens:
            return ""
        field = f"batch.{self._tokens[shape[:2]]}"
        return f"the classes of {shape} are taken to be its dimension 1, which are the tokens of {field} {shape[:2]}"


class _Softmaxes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch
    """Notes the shape and the dimension of each softmax."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[tuple[tuple[int, ...], int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _SOFTMAX:
            shape = tuple(args[0].shape)
            self.seen.append((shape, args[1] % max(len(shape), 1)))
        elif func is _NLL and args[0].shape[2] == 1:
            self.seen.append(((*args[0].shape[:2], args[0].shape[3]), 1))
        return func(*args, **(kwargs or {}))


def has_no_gradient(loss: Callable[..., Any], arguments: Mapping[str, Any]) -> bool:
    """Return whether no input of a loss without parameters gets a gradient; inputs without data are drawn at random.

    >>> logits = torch.tensor([[1.0], [2.0]])
    >>> has_no_gradient(nn.CrossEntropyLoss(), {"input": logits, "target": torch.tensor([0, 0])})
    True
    >>> has_no_gradient(nn.MSELoss(), {"input": logits, "target": torch.zeros(2, 1)})
    False
    """
    if isinstance(loss, nn.Module) and any(True for _ in loss.parameters()):
        return False
    leaves: list[Tensor] = []

    def fresh(tensor: Tensor) -> Tensor:
        if tensor.is_meta:
            make = torch.randn if tensor.is_floating_point() else torch.zeros
            tensor = make(tensor.shape, dtype=tensor.dtype, device="cpu")
        if not tensor.is_floating_point():
            return tensor
        leaves.append(tensor.detach().clone().requires_grad_())
        return leaves[-1]

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            value = copy.deepcopy(loss)(**{name: map_tensors(value, fresh) for name, value in arguments.items()})
            gradients: tuple[Tensor | None, ...] = torch.autograd.grad(value, leaves, allow_unused=True)
    except Exception:  # noqa: BLE001 — it is not known, and that the loss fails is reported where it is called
        return False
    return not any(bool(gradient.any()) for gradient in gradients if gradient is not None)
