"""Blocks of models while a run trains: recomputed in the backward pass, or compiled one by one."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..errors import WiringError, did_you_mean
from ..experiment import Experiment
from .parallel import blocks
from .teachers import compiled


@contextlib.contextmanager
def block_forwards(models: Mapping[str, nn.Module], experiment: Experiment) -> Iterator[None]:
    """Compile and checkpoint the blocks of models within the context, as `experiment` sets. The modules do not change.

    Args:
        models: All models by name.
        experiment: Its `activation_checkpointing` and `compile_blocks` name the models.

    Raises:
        WiringError: A model does not exist or has no blocks, or `compile` compiles them already.
        TrainingError: A backend does not exist.
    """
    backends = {name: how for name, how in experiment.compile_blocks.items() if how}
    if backends and experiment.compile:
        message = "`compile` compiles complete models, with their blocks"
        raise WiringError(message, key="compile_blocks", hint="omit one of the two")
    to_compile = {name: _blocks_of(models, name, f"compile_blocks.{name}") for name in backends}
    to_checkpoint = [
        block
        for index, name in enumerate(experiment.activation_checkpointing)
        for block in _blocks_of(models, name, f"activation_checkpointing.{index}")
    ]
    replaced = list(itertools.chain(*to_compile.values(), to_checkpoint))
    try:
        for name, found in to_compile.items():
            for block in found:
                block.forward = compiled(block.forward, backends[name], f"compile_blocks.{name}")
        for block in to_checkpoint:
            block.forward = _checkpointed(block, block.forward)
        with _hooks_seen(len(replaced)) if to_compile else contextlib.nullcontext():
            yield
    finally:
        for block in replaced:
            vars(block).pop("forward", None)


def _hooks_seen(num_blocks: int) -> contextlib.AbstractContextManager[None]:
    """Return a context in which a block with a tap inside is not run by the code of an equal block without one."""
    from torch._dynamo import config

    limit = max(config.recompile_limit, 4 * num_blocks)
    context: contextlib.AbstractContextManager[None] = config.patch(
        skip_nnmodule_hook_guards=False, recompile_limit=limit
    )
    return context


def _blocks_of(models: Mapping[str, nn.Module], name: str, key: str) -> list[nn.Module]:
    if name not in models:
        message = f"there is no model '{name}'"
        raise WiringError(message, key=key, hint=did_you_mean(name, models))
    found = list(blocks(models[name]))
    if not found:
        message = f"'{name}' has no blocks: no nn.Sequential or nn.ModuleList in it has parameters"
        raise WiringError(message, key=key, hint="omit it")
    return found


def _checkpointed(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return the forward of a block, which keeps no activations where gradients are needed."""

    @functools.wraps(forward)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        contexts = functools.partial(_contexts, block)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)

    return recomputed


def _contexts(
    block: nn.Module,
) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
    """Return the contexts of the forward and of its recomputation, which leaves running statistics as they are."""
    return contextlib.nullcontext(), _unchanged_buffers(block)


@contextlib.contextmanager
def _unchanged_buffers(block: nn.Module) -> Iterator[None]:
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.data.copy_(value)  # autograd has saved it, and would refuse a change that it sees
