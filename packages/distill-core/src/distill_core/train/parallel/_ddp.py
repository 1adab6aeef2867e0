"""Gradients averaged over processes by torch's `DistributedDataParallel`, while the backward pass still runs.

Three things are added to it:

- Every parameter is tied to the objective, so that a tensor that no loss reaches needs no search through the graph. Torch
  would give it a gradient of zero. One flag per parameter is sent along with the gradients, and a parameter that no
  process reached keeps `grad = None`: without weight decay and without optimizer state.
- The layout of the buckets follows from the parameters alone. By default torch changes it after the first step, and from
  three processes on the layout decides in which order numbers are added: a resumed run would differ.
- A second loss of the same forward pass can be averaged separately.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ...distributed import is_dtensor, world_size
from ...errors import TrainingError
from ._fsdp import is_sharded, let_learn, synchronise

Output = tuple[tuple[Tensor, ...], Any]
_ALONE = contextlib.nullcontext()
_TWICE = "mark a variable ready only once"  # from torch's message


class DataParallel:
    """Runs a module and averages the gradients of its objective over all processes.

    Args:
        module: Contains what learns; its parameters and buffers are made equal to those of the first process.
        reduce_dtype: The dtype in which gradients are summed; by default that of the gradient.
        is_split: Whether two gradients are kept; they cannot both be views of the buckets.
        bucket: MiB that are sent at once; by default that of torch, with a smaller first one.

    >>> layer = nn.Linear(2, 1)
    >>> parallel = DataParallel(layer)  # one process: nothing to average
    >>> with parallel.averaged(last=True):
    ...     (total,), _ = parallel(lambda batch: ((layer(batch).sum(),), {}), torch.ones(1, 2))
    ...     total.backward()
    >>> layer.weight.grad
    tensor([[1., 1.]])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        reduce_dtype: torch.dtype | None = None,
        is_split: bool = False,
        bucket: float | None = None,
    ) -> None:
        self._ddp: DistributedDataParallel | None = None
        self._sharded = module if world_size() > 1 and is_sharded(module) else None
        if world_size() == 1:
            return
        if self._sharded is not None:
            let_learn(module)
        own = [parameter for parameter in module.parameters() if not is_dtensor(parameter)]
        for tensor in (*own, *module.buffers()):
            dist.broadcast(tensor.detach(), 0)
        learning = [parameter for parameter in own if parameter.requires_grad][::-1]  # the last layers are ready first
        if not learning:
            return
        self._reduction = reduction = _Reduction(learning, reduce_dtype)
        self._tied = _Tied([*learning, *reduction.flags])
        self._ddp = DistributedDataParallel(
            self._tied,
            init_sync=False,
            gradient_as_bucket_view=not is_split,
            bucket_cap_mb=bucket,
        )
        self._ddp.register_comm_hook(None, lambda _, bucket: reduction.start(bucket))
        self._ddp.reducer._push_all_rebuilt_params()  # noqa: SLF001  the final layout, before the first step

    def __call__(self, run: Callable[..., Output], *arguments: Any) -> Output:
        """Return `run(*arguments)`, totals and terms, inside `averaged`. The caller calls `backward()` of the first total.

        To average a second total of the same forward pass, call this again with a function that returns it.
        """
        return run(*arguments) if self._ddp is None else self._ddp(run, *arguments)

    def averaged(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Return the context of a forward and a backward pass.

        Args:
            last: Whether this is the last batch before the update; the others only add up what this process has.

        Raises:
            TrainingError: A backward pass within a backward pass changed a gradient that was already sent.
        """
        if self._sharded is not None:
            synchronise(self._sharded, last=last)
        return _ALONE if self._ddp is None else self._averaged(self._ddp, last=last)

    @contextlib.contextmanager
    def _averaged(self, ddp: DistributedDataParallel, *, last: bool) -> Iterator[None]:
        self._tied.is_last = last
        try:
            with _ALONE if last else ddp.no_sync():
                yield
        except RuntimeError as error:
            if _TWICE in str(error):
                raise _nested() from error
            raise
        if last:
            if self._reduction.task != self._tied.task:
                raise _nested()
            self._reduction.remove_unreached()

    def end(self) -> None:
        """Remove the hooks from the parameters and free the buckets."""
        if self._ddp is not None:
            self._ddp._remove_autograd_hooks()  # type: ignore[no-untyped-call]  # noqa: SLF001  no public way exists
            self._ddp = None


class _Tied(nn.Module):
    """The module that torch wraps: runs a function and ties its first total to all parameters.

    Attributes:
        is_last: Whether the gradients of the next backward pass are averaged.
        task: The id of that backward pass.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.averaged = nn.ParameterList(parameters)
        self._tensors = tuple(parameters)
        self.is_last = True
        self.task = -1

    def forward(self, run: Callable[..., Output], *arguments: Any) -> Output:
        totals, terms = run(*arguments)
        if self.is_last and totals[0].requires_grad:
            totals = (_Tie.apply(totals[0], self, *self._tensors), *totals[1:])
        return totals, terms


class _Tie(torch.autograd.Function):
    """The identity of a total. It passes no gradient to the parameters, but torch's hooks run for each of them."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, tied: _Tied, *parameters: Tensor) -> Tensor:
        ctx.tied, ctx.count = tied, len(parameters)
        return total.view_as(total)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        ctx.tied.task = _backward_id()
        return gradient, None, *(None,) * ctx.count


class _Reduction:
    """Averages buckets over the processes and finds the parameters that no process reached.

    Attributes:
        flags: One parameter for each dtype and device, with an element for each parameter of that kind. It comes behind
            these in the buckets, so that its gradient can say which of them have one.
        task: The id of the backward pass that completed the last bucket.
    """

    def __init__(self, learning: Sequence[nn.Parameter], dtype: torch.dtype | None) -> None:
        groups: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
        for parameter in learning:
            groups.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        self.flags: list[nn.Parameter] = []
        self._elements: dict[Tensor, tuple[nn.Parameter, int]] = {}
        for group in groups.values():
            flags = nn.Parameter(group[0].new_ones(len(group)))
            flags.grad = torch.ones_like(flags)  # so that it never counts as unreached
            self.flags.append(flags)
            self._elements |= {parameter: (flags, index) for index, parameter in enumerate(group)}
        self._dtype, self._num_processes = dtype, world_size()
        self._unreached: list[Tensor] = []  # in this process
        self.task = -1

    def start(self, bucket: Any) -> torch.futures.Future[Tensor]:
        """Start the sum over a `GradBucket`. Torch calls this in the order of the buckets."""
        parameters, buffer = bucket.parameters(), bucket.buffer()
        self._unreached += [parameter for parameter in parameters if parameter.grad is None]
        last = parameters[-1]
        if last not in self._elements:
            values = buffer[-last.numel() :].fill_(1)
            missing = [index for flags, index in map(self._elements.__getitem__, self._unreached) if flags is last]
            if missing:
                values[missing] = 0
        if bucket.is_last():
            self.task = _backward_id()
        sent = buffer if self._dtype is None else buffer.to(self._dtype)
        work = dist.all_reduce(sent.div_(self._num_processes), async_op=True)
        return work.get_future().then(lambda done: _received(buffer, done.value()[0]))

    def remove_unreached(self) -> None:
        """Set gradients to None that no process has. Only a process that lacks some waits for its device."""
        if not self._unreached:
            return
        reached = {flags: flags.grad.tolist() for flags in self.flags if flags.grad is not None}
        for parameter in self._unreached:
            flags, index = self._elements[parameter]
            if not reached[flags][index]:
                parameter.grad = None
        self._unreached = []


def _received(buffer: Tensor, value: Tensor) -> Tensor:
    return value if value is buffer else buffer.copy_(value)


def _backward_id() -> int:
    """Return a number that is different in a backward pass within a backward pass."""
    return torch._C._current_graph_task_id()  # noqa: SLF001  no public way exists


def _nested() -> TrainingError:
    message = "a backward pass within the backward pass changed a gradient that had been sent to the other processes"
    return TrainingError(message, hint="checkpoint activations with use_reentrant=False")
