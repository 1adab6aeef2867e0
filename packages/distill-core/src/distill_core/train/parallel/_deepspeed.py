"""Gradients and optimizer state sharded by DeepSpeed: ZeRO, stage 2.

Samyam Rajbhandari, Jeff Rasley, Olatunji Ruwase, Yuxiong He. "ZeRO: Memory Optimizations Toward Training Trillion
Parameter Models". SC 2020. https://arxiv.org/abs/1910.02054

The models are replicated, so hooks, EMA copies and checkpoints see complete tensors; `parallel: fsdp` shards models as
well. DeepSpeed flattens the parameters of a group: a tensor that no loss reaches has a gradient of zero instead of none,
so weight decay shrinks it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...distributed import rank
from ...errors import TrainingError
from .._kept_buffers import KeptBuffers
from ._rank_buffers import each_process

_BUCKET = 25 * 2**20  # numbers that are sent at once


class ZeroEngine:
    """Replaces gradient averaging, backward pass and optimizer step.

    Args:
        module: The distiller, as prepared and compiled.
        parameters: All that learns.
        optimizer: The stage's optimizer; it is given flat stretches of the parameters in the place of these.
        clip_grad_norm: The greatest norm of all gradients together, if any.
        buffers: The buffers of everything that learns, restored if an update is withheld.
        sticky: Whether one step with gradients that are not finite withholds all later ones, until it was told.

    Raises:
        TrainingError: DeepSpeed is not installed.
    """

    def __init__(
        self,
        module: Callable[..., Any],
        parameters: Iterable[nn.Parameter],
        optimizer: Any,
        *,
        clip_grad_norm: float | None,
        buffers: KeptBuffers,
        sticky: bool,
    ) -> None:
        deepspeed = _deepspeed()
        settings = {
            "train_micro_batch_size_per_gpu": 1,  # its own samples per second are shown nowhere
            "gradient_accumulation_steps": 1,  # of which it would take the mean, and a batch has its share already
            "managed_gradient_accumulation": False,  # whoever calls `step` decides
            "gradient_clipping": clip_grad_norm or 0.0,
            "steps_per_print": 2**62,
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "zero_optimization": {"stage": 2, "reduce_bucket_size": _BUCKET, "allgather_bucket_size": _BUCKET},
        }
        self.optimizer = optimizer
        self.engine = deepspeed.initialize(model=module, optimizer=optimizer, config=settings)[0]
        # A gradient is taken away as soon as it is there: whether a tensor got one, nobody can tell.
        self.separate = dict.fromkeys(parameters)
        self._device = optimizer.param_groups[0]["params"][0].device
        self._buffers, self._sticky = buffers, sticky
        self._found, self._one = torch.zeros((), device=self._device), torch.ones((), device=self._device)
        self._bad: list[int] = []

    def __call__(
        self,
        batch: Mapping[str, Any],
        weights: Mapping[str, float | Tensor],
        share: float,
        *,
        last: bool,
        given: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the forward and the backward pass, as `Backward` does."""
        del last
        (total,), terms = self.engine(batch, weights, *([given] if given else []))
        self.engine.backward(total if share == 1 else total * share, scale_wrt_gas=False)
        return total.detach(), terms

    def step(self, batch: int) -> None:
        """Update the weights and forget the gradients, unless a gradient of some process is not finite."""
        self._found.zero_()
        self._buffers.check(self._found, self._one)
        if self._buffers.num_floating:
            dist.all_reduce(self._found, dist.ReduceOp.MAX)
        if self._found or (self._bad and self._sticky):
            self.engine.optimizer.zero_grad()
            self._bad.append(batch)
        else:
            self.engine.step()
            if self.engine.optimizer.overflow:
                self._bad.append(batch)
        self._buffers.settle(torch.tensor(batch in self._bad[-1:]))

    def bad_batches(self) -> list[int]:
        """Return the batches since the last call whose update was withheld, from the first bad one on."""
        bad, self._bad = self._bad, []
        return bad

    def has_bad(self) -> bool:
        """Return whether such batches exist; the same on every process."""
        return bool(self._bad)

    def keep_buffers(self) -> None:
        """Copy the buffers; a withheld update restores the copies."""
        self._buffers.keep()

    def state(self) -> dict[str, Any]:
        """Return the optimizer's state on every process. A collective operation."""
        state = self.optimizer.state_dict()
        parts = {
            number: {name: each_process(value.to(self._device)) for name, value in entry.items()}
            for number, entry in state["state"].items()
        }
        return {**state, "state": parts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state of this process."""
        own = {
            number: {name: parts[rank()] for name, parts in entry.items()} for number, entry in state["state"].items()
        }
        self.optimizer.load_state_dict({**state, "state": own})

    def end(self) -> None:
        """Leave the parameters as they were, without hooks."""
        self.engine.destroy()


def _deepspeed() -> Any:
    try:
        import deepspeed
    except ImportError:
        message = "parallel: deepspeed needs the package deepspeed, which is not installed"
        raise TrainingError(message, hint="pip install 'distill-core[deepspeed]', or parallel: fsdp") from None
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    return deepspeed
