"""Check that a model does not attend across the documents of a packed block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from distill_core.errors import DataError

from .._positions import num_embeddings

TOLERANCE = 16
"""Largest difference of logits that counts as rounding, in units of the dtype's epsilon relative to the largest logit."""


def check_isolation(name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
    """Check that positions that restart isolate documents. Only models of transformers are checked.

    A model without weights (`distill check --deep`) is judged by its config. Otherwise two blocks that differ only in their
    first document are read, and the logits of their second document must be equal.

    Args:
        name: The model's name.
        model: The model.
        inputs: Parameter → field of the batch.

    Raises:
        DataError: The model attends across documents.
    """
    if "position_ids" not in inputs or not hasattr(model, "config"):
        return
    fault = _config_fault(model, inputs)
    if fault is None and not any(tensor.is_meta for tensor in model.parameters()) and _leaks(model):
        fault = "it attends across documents although positions restart", "omit `position_ids` from its feed"
    if fault is not None:
        text, hint = fault
        message = f"{name} ({type(model).__name__}) cannot isolate the documents of a packed block: {text}"
        raise DataError(message, hint=hint)


def require_positions(name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
    """Check that a model that reads the tokens of packed samples reads their positions too.

    Raises:
        DataError: It does not, and would attend across samples.
    """
    if "input_ids" in inputs.values() and "position_ids" not in inputs.values():
        message = f"{name} ({type(model).__name__}) reads packed samples without `position_ids` and would mix them"
        raise DataError(message, hint="feed it with `position_ids: batch.position_ids`, or do not pack")


def _config_fault(model: nn.Module, inputs: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a fault and a hint from a model's config, None without a fault."""
    config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
    implementation = str(getattr(config, "_attn_implementation", None))
    if "flash" in implementation:
        text = f"attn_implementation '{implementation}' does so only for batches of one block"
        return text, "set attn_implementation to 'sdpa' or 'eager'"
    if "attention_mask" in inputs:
        return "it is fed with `attention_mask` too", "omit `attention_mask` from its feed"
    if getattr(config, "use_cache", False):
        hint = "load it with distill_nlp.models.from_pretrained, or pass `use_cache: false` to transformers' from_pretrained"
        return "its config has use_cache: true", hint
    return None


@torch.no_grad()
def _leaks(model: nn.Module) -> bool:
    """Return whether the first document of a block changes the logits of the second."""
    device = next(model.parameters()).device
    count = num_embeddings(model) or 2
    second = [5, 3, 1, 6]
    tokens = torch.tensor([[1, 2, 3, 4, *second], [4, 6, 2, 5, *second]], device=device) % count
    positions = torch.tensor([[0, 1, 2, 3] * 2] * 2, device=device)
    with _in_evaluation(model):
        logits: Tensor = model(input_ids=tokens, position_ids=positions)[0].float()
    if logits.dim() != 3:
        return False  # a classifier of sequences; no loss of tokens reads it
    logits = logits[:, 4:]
    scale = logits.abs().max() * torch.finfo(next(model.parameters()).dtype).eps
    return bool((logits[0] - logits[1]).abs().max() > TOLERANCE * scale)


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Switch all submodules to evaluation mode, and restore the mode of each."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
