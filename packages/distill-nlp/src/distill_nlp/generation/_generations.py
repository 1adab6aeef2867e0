"""Generated answers as tensors for a metric."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ..data import Tokenizer
from ._ends import end_tokens, num_tokens
from ._on_policy import prompt_lengths
from ._sample import Sampling, generate


@final
class Generations(nn.Module):
    """The tokens that a model generates after each prompt, for example for `ExactMatch`.

    In an experiment it is one of the models, and runs when a metric reads it:

        models:
          student: *student
          answers: !import_call:distill_nlp.generation.Generations {model: *student, tokenizer: *tokenizer}
        stages:
          - feed: {answers: {input_ids: batch.input_ids, mask: batch.mask}, …}
        …
        exact: {metric: !import_call:distill_nlp.metrics.ExactMatch {}, inputs: {preds: answers, target: batch.target}}

    Args:
        model: A causal language model of transformers. It is not registered as a submodule.
        tokenizer: A tokenizer of transformers, or its name or folder. The end tokens of the model's `generation_config`
            also end an answer, and are replaced by the tokenizer's end token.
        max_new_tokens: Maximum number of generated tokens.
        temperature: Sampling temperature. 0 decodes greedily.
    """

    def __init__(
        self, model: nn.Module, tokenizer: str | Tokenizer, *, max_new_tokens: int = 64, temperature: float = 0.0
    ) -> None:
        super().__init__()
        self._model = (model,)  # a tuple, so that nn.Module does not register it
        self.ends, self.num_tokens = end_tokens(model, tokenizer), num_tokens(tokenizer)
        self.sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Generate (batch, new tokens) after the prompts, which end at the first target that counts.

        Args:
            input_ids: (batch, positions).
            mask: (batch, positions), the targets that count.
        """
        if input_ids.is_meta:
            return input_ids.new_zeros(len(input_ids), self.sampling.max_new_tokens)
        lengths, known = prompt_lengths(mask), self.num_tokens
        written, _ = generate(self._model[0], input_ids, lengths, self.sampling, end=self.ends, num_tokens=known)
        is_end = torch.isin(written, torch.tensor(self.ends, device=written.device))
        return torch.where(is_end, self.ends[0], written)
