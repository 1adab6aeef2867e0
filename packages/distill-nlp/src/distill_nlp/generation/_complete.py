"""Completions of a batch of prompts, as texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..data import answer_text
from ._ends import num_tokens
from ._sample import Sampling, generate


def complete_prompts(
    model: nn.Module,
    prompts: Sequence[Tensor],
    tokenizer: Any,
    sampling: Sampling,
    *,
    ends: Sequence[int],
    generator: torch.Generator | None = None,
) -> list[dict[str, Any]]:
    """Return a model's completion of each prompt: its text `completion`, its tokens `completion_ids` and whether it `ended`.

    Args:
        model: A causal language model of transformers.
        prompts: The tokens of each prompt, (tokens,).
        tokenizer: The tokenizer.
        sampling: The sampling of the next token.
        ends: The end tokens; see `end_tokens`.
        generator: A generator on the model's device. Defaults to torch's.
    """
    device = next(model.parameters()).device
    rows = [row.long() for row in prompts]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=int(tokenizer.pad_token_id or 0))
    lengths = torch.tensor([len(row) for row in rows], device=device)
    known = num_tokens(tokenizer)
    written, counts = generate(
        model, padded.to(device), lengths, sampling, end=ends, num_tokens=known, generator=generator
    )
    records = []
    for tokens, count in zip(written.tolist(), counts.tolist(), strict=True):
        ended = tokens[count - 1] in ends
        text = answer_text(tokenizer, tokens[:count], ended=ended)
        records.append({"completion": text, "completion_ids": tokens[:count], "ended": ended})
    return records
