"""Give lazy parameters their shapes and their initial values, and change nothing else.

Shapes come from a batch that runs through models and losses. The initial values of a module follow from the seed and from
the name of its first lazy tensor alone: neither the data, the number of workers and processes nor other parameters matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..data import Loader, SeedPath, derive_seed, preserve_rng_state, seed_torch
from ..errors import Problem, WiringError
from ._distiller import Batch, Distiller
from ._held_buffers import hold, put_back


def first_batch(loader: Loader, seed_path: SeedPath) -> dict[str, Any]:
    """Read the first batch of an epoch, and no other one ahead of it."""
    plan = loader.plan(seed_path, even=True)
    return next(loader.batches(seed_path, plan=plan.pick(range(1))))


def materialise(distiller: Distiller, first: Callable[[], Batch], seed: int, device: torch.device) -> None:
    """Run a batch without gradients if there are lazy tensors.

    Models run in the modes that they have, losses in eval mode. Buffers, the modes and all generators are as before at the
    end.

    Args:
        distiller: Models and losses, on the device, their modes set.
        first: Returns the batch, on the device.
        seed: The seed of the run.
        device: Where they are.
    """
    parts = {source.name: source.model for source in distiller.sources}
    parts |= {f"losses.{name}": loss for name, loss in distiller.losses.items()}
    lazy = _lazy_modules(parts)
    if not lazy:
        return
    with preserve_rng_state(device=device), _same_buffers(parts.values(), lazy.values()), torch.no_grad():
        batch = first()
        modes = {module: module.training for module in distiller.losses.modules()}
        distiller.losses.eval()
        handles = [
            module.register_forward_pre_hook(_seeding(_hash(seed, name), device), prepend=True)
            for name, module in lazy.items()
        ]
        try:
            seed_torch(derive_seed(seed), device)
            distiller(batch, dict.fromkeys(distiller.terms, 1.0))
        finally:
            for handle in handles:
                handle.remove()
            for module, training in modes.items():
                module.training = training


def refuse_lazy(trainable: Mapping[str, Any], key: str) -> None:
    """Refuse to train what still has no shape.

    Raises:
        WiringError: A parameter was not used by the batch that gives shapes.
    """
    for name, parameter in trainable.items():
        if is_lazy(parameter):
            message = f"{key}.train: '{name}' is lazy, and no model or loss has used it in a first batch"
            raise WiringError(str(Problem(message, hint="give its size, or name it with `!` under `train`")))


def _lazy_modules(parts: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The modules that own lazy tensors, each by the name of its first one."""
    found: dict[int, tuple[str, nn.Module]] = {}
    for part, root in parts.items():
        for path, module in root.named_modules(prefix=part):
            own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
            name = next((f"{path}.{name}" for name, tensor in own if is_lazy(tensor)), None)
            if name is not None:
                found.setdefault(id(module), (name, module))
    return dict(found.values())


def _hash(seed: int, name: str) -> int:
    return derive_seed(seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def _seeding(seed: int, device: torch.device) -> Callable[[nn.Module, Any], None]:
    """A hook that seeds before a lazy module draws its initial values."""

    def seed_before(module: nn.Module, arguments: Any) -> None:  # noqa: ARG001 - a hook is given them
        seed_torch(seed, device)

    return seed_before


@contextmanager
def _same_buffers(models: Iterable[nn.Module], lazy: Collection[nn.Module]) -> Iterator[None]:
    """Put all buffers back at the end; those of lazy modules as they are when they are made."""
    held = hold({module: None for model in models for module in model.modules()})

    def hold_made(module: nn.Module, arguments: Any) -> None:  # noqa: ARG001 - a hook is given them
        held.extend(hold([module]))

    handles = [module.register_forward_pre_hook(hold_made) for module in lazy]  # after the hook that makes the tensors
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        put_back(reversed(held))  # the earliest value is written last
