"""Text generation with a causal language model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from distill_core.errors import DistillError
from distill_core.layers import positive, within

from .._positions import num_positions

_CHECK_EVERY = 16
"""Number of tokens between two checks whether all samples have ended. Each check waits for the device."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Sampling of the next token.

    Attributes:
        max_new_tokens: Maximum number of generated tokens.
        temperature: Sampling temperature. 0 decodes greedily.
        top_k: Number of most probable tokens to sample from. None samples from all.
        top_p: Probability mass of the most probable tokens to sample from.

    Raises:
        ValueError: A value is out of range.
    """

    max_new_tokens: int = 64
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        positive("max_new_tokens", self.max_new_tokens)
        within("temperature", self.temperature)
        positive("top_k", 1 if self.top_k is None else self.top_k)
        within("top_p", positive("top_p", self.top_p), 0, 1)

    def __call__(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Sample the next tokens (batch,) from logits (batch, vocabulary)."""
        if self.temperature == 0:
            return logits.argmax(-1)
        logits = logits.float() / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        probabilities = logits.softmax(-1)
        if self.top_p < 1:
            sorted_, order = probabilities.sort(dim=-1, descending=True)
            beyond = sorted_.cumsum(-1) - sorted_ >= self.top_p
            probabilities = torch.zeros_like(probabilities).scatter(-1, order, sorted_.masked_fill(beyond, 0))
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: Tensor,
    lengths: Tensor,
    sampling: Sampling,
    *,
    end: int | Sequence[int] | None = None,
    num_tokens: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Generate completions with a model of transformers.

    The model runs in eval mode with its key-value cache. Its mode is restored afterwards.

    Args:
        model: Accepts `input_ids`, `attention_mask`, `use_cache` and its own cache, as `cache` or, in transformers before
            5.24, as `past_key_values`. Returns `logits`.
        prompts: (batch, positions), left-aligned. Tokens after a prompt are ignored.
        lengths: (batch,), number of tokens of each prompt, at least 1.
        sampling: The sampling of the next token.
        end: One or several end tokens; see `end_tokens`.
        num_tokens: Number of tokens to choose from, for vocabularies with padding after them. Defaults to all.
        generator: A generator on the model's device. Defaults to torch's.

    Returns:
        The generated tokens (batch, new tokens), filled with the first end token after a sample has ended, and (batch,)
        the number of tokens that count, including the end token.

    Raises:
        DistillError: Prompt and completion together exceed the model's positions.
    """
    width = int(lengths.max())  # the host waits here, and then every `_CHECK_EVERY` tokens
    maximum, new = num_positions(model), sampling.max_new_tokens
    if maximum is not None and width + new - 1 > maximum:
        message = (
            f"{type(model).__name__} has {maximum} positions, too few for a prompt of {width} tokens and {new} new ones"
        )
        raise DistillError(message, hint="reduce max_new_tokens or shorten the prompt")
    index = torch.arange(width, device=prompts.device) - (width - lengths[:, None])
    aligned = prompts.gather(1, index.clamp(min=0))  # right-aligned, so that all continue at the same position
    mask = (index >= 0).long()
    ends = torch.tensor([end] if isinstance(end, int) else list(end or ()), dtype=torch.long, device=prompts.device)
    training = model.training
    model.eval()
    try:
        written, ended = _generate(model, aligned, mask, sampling, ends, num_tokens, generator)
    finally:
        model.train(training)
    return written, ended


def _generate(
    model: nn.Module,
    tokens: Tensor,
    mask: Tensor,
    sampling: Sampling,
    ends: Tensor,
    num_tokens: int | None,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    past: dict[str, Any] = {}
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    # A model that is sharded over processes must run equally often on each.
    stops_early = len(ends) > 0 and not any(isinstance(parameter, DTensor) for parameter in model.parameters())
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    is_open = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    lengths = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
    written: list[Tensor] = []
    for count in range(sampling.max_new_tokens):
        options = {"position_ids": positions} if takes_positions else {}
        output = model(input_ids=tokens, attention_mask=mask, use_cache=True, **past, **options)
        past = _cache_of(output)
        chosen = sampling(output.logits[:, -1, :num_tokens], generator)
        if len(ends):
            chosen = torch.where(is_open, chosen, ends[0])
        lengths += is_open
        written.append(chosen)
        if len(ends):
            is_open = is_open & ~torch.isin(chosen, ends)
        if stops_early and count % _CHECK_EVERY == _CHECK_EVERY - 1 and not bool(is_open.any()):
            break
        tokens, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return torch.stack(written, dim=1), lengths


def _cache_of(output: Any) -> dict[str, Any]:
    """Return a model's cache under the name of its parameter."""
    if hasattr(output, "cache"):  # transformers 5.24 and later, where reading the old name is deprecated
        return {"cache": output.cache}
    return {"past_key_values": output.past_key_values}
