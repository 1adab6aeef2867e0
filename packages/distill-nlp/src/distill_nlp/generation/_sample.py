"""What a causal language model writes after a prompt."""

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

_LOOK_EVERY = 16
"""Tokens between two looks whether all samples have ended: each makes the host wait for the device."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        max_new_tokens: How many are written at most.
        temperature: What the logits are divided by; at 0 the most probable token is taken.
        top_k: Only the so many most probable are drawn from; all if left out.
        top_p: Only the most probable are drawn from, as many as make up this probability.

    Raises:
        ValueError: A number that makes no sense.
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
        """The next token of each row of logits (batch, vocabulary), (batch,)."""
        if self.temperature == 0:
            return logits.argmax(-1)
        logits = logits.float() / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        probabilities = logits.softmax(-1)
        if self.top_p < 1:
            sorted_, order = probabilities.sort(dim=-1, descending=True)
            beyond = (sorted_.cumsum(-1) - sorted_ >= self.top_p).gather(-1, order.argsort(-1))
            probabilities = probabilities.masked_fill(beyond, 0)
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: Tensor,
    lengths: Tensor,
    sampling: Sampling,
    *,
    end: int | Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Let a model of transformers go on writing.

    The model runs in eval mode and as a whole, with its own cache of keys and values; afterwards it is in the mode in
    which it was.

    Args:
        model: Takes `input_ids`, `attention_mask`, `use_cache` and the cache that it returned itself, as `cache` or, in
            transformers before 5.24, as `past_key_values`; returns `logits`.
        prompts: (batch, positions), each on the left of its row; what stands behind does not matter.
        lengths: (batch,), how many tokens each prompt has, one at least.
        sampling: How the next token is chosen.
        end: The token after which a sample has ended, or several, each of which ends it; `end_tokens` returns those of a
            model.
        generator: Where chance comes from, on the device of the model; torch's own if left out.

    Returns:
        (batch, new tokens), what was written, then the first of the end tokens; and (batch,) how many tokens of it
        count: up to the end token, which is among them, or all.

    Raises:
        DistillError: Prompt and completion together are longer than the model's positions.
    """
    width = int(lengths.max())  # the host waits here, and then every `_LOOK_EVERY` tokens
    most = num_positions(model)
    if most is not None and width + sampling.max_new_tokens - 1 > most:
        message = f"{type(model).__name__} has {most} positions, and a prompt of {width} tokens with {sampling.max_new_tokens} new ones does not fit\n  hint: a smaller max_new_tokens or prompt"
        raise DistillError(message)
    place = torch.arange(width, device=prompts.device) - (width - lengths[:, None])
    given = prompts.gather(1, place.clamp(min=0))  # each on the right, so that all go on at one place
    mask = (place >= 0).long()
    ends = torch.tensor([end] if isinstance(end, int) else list(end or ()), dtype=torch.long, device=prompts.device)
    training = model.training
    model.eval()
    try:
        written, ended = _write(model, given, mask, sampling, ends, generator)
    finally:
        model.train(training)
    return written, ended


def _write(
    model: nn.Module,
    tokens: Tensor,
    mask: Tensor,
    sampling: Sampling,
    ends: Tensor,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    past: dict[str, Any] = {}
    places = "position_ids" in inspect.signature(model.forward).parameters
    # Sharded over processes, a model runs as often on each.
    looks = len(ends) > 0 and not any(isinstance(parameter, DTensor) for parameter in model.parameters())
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    is_open = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    lengths = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
    written: list[Tensor] = []
    for count in range(sampling.max_new_tokens):
        options = {"position_ids": positions} if places else {}
        output = model(input_ids=tokens, attention_mask=mask, use_cache=True, **past, **options)
        past = _cache_of(output)
        chosen = sampling(output.logits[:, -1], generator)
        if len(ends):
            chosen = torch.where(is_open, chosen, ends[0])
        lengths += is_open
        written.append(chosen)
        if len(ends):
            is_open = is_open & ~torch.isin(chosen, ends)
        if looks and count % _LOOK_EVERY == _LOOK_EVERY - 1 and not bool(is_open.any()):
            break
        tokens, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return torch.stack(written, dim=1), lengths


def _cache_of(output: Any) -> dict[str, Any]:
    """Return a model's cache under the name by which the model takes it again."""
    if hasattr(output, "cache"):  # transformers 5.24 and later, where reading the old name is deprecated
        return {"cache": output.cache}
    return {"past_key_values": output.past_key_values}
