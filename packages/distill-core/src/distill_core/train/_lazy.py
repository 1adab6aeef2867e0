"""Initialisation of lazy parameters with a first batch, which changes nothing else.

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
from ..errors import WiringError
from ._distiller import Batch, Distiller
from ._held_buffers import hold, put_back


def first_batch(loader: Loader, seed_path: SeedPath) -> dict[str, Any]:
    """Read the first batch of an epoch, without reading ahead."""
    plan = loader.plan(seed_path, even=True)
    return next(loader.batches(seed_path, plan=plan.pick(range(1))))


def materialise(distiller: Distiller, first: Callable[[], Batch], seed: int, device: torch.device) -> None:
    """Run a batch without gradients if a tensor is lazy.

    Models run in their current modes, losses in eval mode. Buffers, modes and random generators are restored.

    Args:
        distiller: Models and losses, on the device, their modes set.
        first: Returns the batch, on the device.
        seed: The seed of the run.
        device: Their device.
    """
    roots = {source.name: source.model for source in distiller.sources}
    roots |= {f"losses.{name}": loss for name, loss in distiller.losses.items()}
    lazy = _lazy_modules(roots)
    if not lazy:
        return
    with preserve_rng_state(device=device), same_buffers(roots.values(), lazy.values()), torch.no_grad():
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
    """Refuse trainable parameters that are still lazy.

    Raises:
        WiringError: A parameter was not used by the batch that gives shapes.
    """
    for name, parameter in trainable.items():
        if is_lazy(parameter):
            message = f"'{name}' is lazy, and no model or loss has used it in a first batch"
            raise WiringError(message, key=f"{key}.train", hint="give its size, or name it with `!` under `train`")


def _lazy_modules(roots: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return the modules that own lazy tensors, each by the name of its first one."""
    modules: dict[int, tuple[str, nn.Module]] = {}
    for prefix, root in roots.items():
        for path, module in root.named_modules(prefix=prefix):
            own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
            name = next((f"{path}.{name}" for name, tensor in own if is_lazy(tensor)), None)
            if name is not None:
                modules.setdefault(id(module), (name, module))
    return dict(modules.values())


def _hash(seed: int, name: str) -> int:
    return derive_seed(seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def _seeding(seed: int, device: torch.device) -> Callable[[nn.Module, Any], None]:
    """Return a hook that seeds before a lazy module draws its initial values."""

    def seed_before(module: nn.Module, arguments: Any) -> None:  # noqa: ARG001 - a hook is given them
        seed_torch(seed, device)

    return seed_before


@contextmanager
def same_buffers(models: Iterable[nn.Module], lazy: Collection[nn.Module] = ()) -> Iterator[None]:
    """Restore all buffers at the end; those of lazy modules to their initial values."""
    held = hold({module: None for model in models for module in model.modules()})

    def hold_created(module: nn.Module, arguments: Any) -> None:  # noqa: ARG001 - a hook is given them
        held.extend(hold([module]))

    handles = [
        module.register_forward_pre_hook(hold_created) for module in lazy
    ]  # after the hook that creates the tensors
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        put_back(reversed(held))  # the earliest value is written last
