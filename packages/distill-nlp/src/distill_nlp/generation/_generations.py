"""What a model answers, as tensors for a metric."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ..data import Tokenizer
from ._ends import end_tokens
from ._on_policy import prompt_lengths
from ._sample import Sampling, generate


@final
class Generations(nn.Module):
    """The tokens that a model writes after each sample's prompt, for `ExactMatch` say.

    In an experiment it stands among the models; it runs where a metric reads it:

        models:
          student: *student
          answers: !import_call:distill_nlp.generation.Generations {model: *student, tokenizer: *tokenizer}
        stages:
          - feed: {answers: {input_ids: batch.input_ids, mask: batch.mask}, …}
        …
        exact: {metric: !import_call:distill_nlp.metrics.ExactMatch {}, inputs: {preds: answers, target: batch.target}}

    Args:
        model: A causal language model of transformers; it is no submodule.
        tokenizer: A tokenizer of transformers, or its name or folder, for its end token. The end tokens of the model's
            `generation_config` end an answer too, and are given as the tokenizer's.
        max_new_tokens: How many are written at most.
        temperature: What the logits are divided by; at 0 the most probable token is taken.
    """

    def __init__(
        self, model: nn.Module, tokenizer: str | Tokenizer, *, max_new_tokens: int = 64, temperature: float = 0.0
    ) -> None:
        super().__init__()
        self._held = (model,)
        self.ends = end_tokens(model, tokenizer)
        self.sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(batch, new tokens) for prompts that reach up to the first target that counts.

        Args:
            input_ids: (batch, positions).
            mask: (batch, positions), which targets count.
        """
        if input_ids.is_meta:
            return input_ids.new_zeros(len(input_ids), self.sampling.max_new_tokens)
        written, _ = generate(self._held[0], input_ids, prompt_lengths(mask), self.sampling, end=self.ends)
        is_end = torch.isin(written, torch.tensor(self.ends, device=written.device))
        return torch.where(is_end, self.ends[0], written)
