"""Gradients averaged over processes while the backward pass still runs.

torch's `DistributedDataParallel` lays its buckets out anew after the first step it sees, and from three processes on the
layout decides in which order numbers are added. A run that was resumed then differs from one that was not. Here the
layout follows from the parameters alone. And a tensor that no loss reaches needs no search through the graph: each
bucket carries a flag per tensor, which is read only where a gradient is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...distributed import is_dtensor, world_size
from ...errors import TrainingError
from ._fsdp import is_sharded, let_learn, synchronise

_BUCKET = 25 * 2**20  # bytes
_ALONE = contextlib.nullcontext()


class SharedGradients:
    """Averages the gradients of a module over all processes.

    Args:
        module: What learns; its parameters and buffers are made equal to those of the first process.
        bucket: Bytes that are sent at once.

    >>> layer = nn.Linear(2, 1)
    >>> with SharedGradients(layer).averaged(last=True):  # one process: nothing to do
    ...     layer(torch.ones(1, 2)).sum().backward()
    >>> layer.weight.grad
    tensor([[1., 1.]])
    """

    def __init__(self, module: nn.Module, *, bucket: int = _BUCKET) -> None:
        self._active = False
        self._next = 0
        self._buckets: list[_Bucket] = []
        self._sharded = module if world_size() > 1 and is_sharded(module) else None
        if world_size() == 1:
            return
        if self._sharded is not None:
            let_learn(module)
        own = [parameter for parameter in module.parameters() if not is_dtensor(parameter)]
        for tensor in (*own, *module.buffers()):
            dist.broadcast(tensor.detach(), 0)
        learning = [parameter for parameter in own if parameter.requires_grad]
        self._buckets = [_Bucket(part) for part in _split(learning[::-1], bucket)]  # the last layers are ready first
        self._handles = [
            parameter.register_post_accumulate_grad_hook(self._hook(bucket, number))  # type: ignore[no-untyped-call]
            for bucket in self._buckets
            for number, parameter in enumerate(bucket.parameters)
        ]

    def averaged(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Return the context of a forward and backward pass.

        Args:
            last: Whether this is the last batch before the update; the others only add up what this process has.

        Raises:
            TrainingError: A backward pass within a backward pass changed a gradient that was already sent.
        """
        if self._sharded is not None:
            synchronise(self._sharded, last=last)
        return self._averaged() if last and self._buckets else _ALONE

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        self._active, self._next = True, 0
        try:
            yield
        finally:
            self._active = False
        self._send(all_of_them=True)
        for bucket in self._buckets:
            bucket.receive()

    def end(self) -> None:
        """Remove the hooks from the parameters."""
        for handle in self._handles if self._buckets else ():
            handle.remove()
        self._buckets = []

    def _hook(self, bucket: _Bucket, number: int) -> Callable[[Tensor], None]:
        def ready(_parameter: Tensor) -> None:
            if self._active:
                bucket.note(number)
                self._send(all_of_them=False)

        return ready

    def _send(self, *, all_of_them: bool) -> None:
        """Send the buckets that are ready. Every process sends them in the same order."""
        while self._next < len(self._buckets) and (all_of_them or not self._buckets[self._next].waiting):
            self._buckets[self._next].send()
            self._next += 1


class _Bucket:
    """Several gradients in one flat tensor, with a flag for each at its end."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.waiting = set(range(len(parameters)))
        self._missing: list[int] = []
        self._flat: Tensor | None = None
        self._work: dist.Work | None = None

    def note(self, number: int) -> None:
        if self._flat is not None:
            message = (
                "a backward pass within the backward pass changed a gradient that had been sent to the other processes"
            )
            raise TrainingError(message, hint="checkpoint activations with use_reentrant=False")
        self.waiting.discard(number)

    def send(self) -> None:
        gradients = [parameter.grad for parameter in self.parameters]
        self._missing = [number for number, gradient in enumerate(gradients) if gradient is None]
        first = self.parameters[0]
        flags = first.new_ones(len(gradients))
        if self._missing:
            flags[self._missing] = 0
        parts = [
            (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]
        self._flat = torch.cat([*parts, flags]).div_(world_size())
        self._work = dist.all_reduce(self._flat, async_op=True)

    def receive(self) -> None:
        flat, work = self._flat, self._work
        if flat is None or work is None:
            message = "`receive()` called before `send()`"
            raise RuntimeError(message)
        work.wait()
        count = len(self.parameters)
        *values, flags = torch.split(flat, [*(parameter.numel() for parameter in self.parameters), count])
        if self._missing:
            found = flags.tolist()
            for number in self._missing:
                if found[number]:  # another process has one
                    self.parameters[number].grad = torch.zeros_like(self.parameters[number])
        pairs = [
            (parameter.grad, value.view_as(parameter))
            for parameter, value in zip(self.parameters, values, strict=True)
            if parameter.grad is not None
        ]
        if pairs:
            torch._foreach_copy_([gradient for gradient, _ in pairs], [value for _, value in pairs])
        self._flat = self._work = None
        self.waiting = set(range(count))


def _split(parameters: Sequence[nn.Parameter], size: int) -> Iterator[list[nn.Parameter]]:
    """Yield neighbouring parameters of one dtype and device, as many as fit into `size` bytes."""
    part: list[nn.Parameter] = []
    taken = 0
    for parameter in parameters:
        size_here = parameter.numel() * parameter.element_size()
        same = part and (part[0].dtype, part[0].device) == (parameter.dtype, parameter.device)
        if part and (not same or taken + size_here > size):
            yield part
            part, taken = [], 0
        part.append(parameter)
        taken += size_here
    if part:
        yield part
