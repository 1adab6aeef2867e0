"""On-policy distillation: the student learns from its own completions.

Rishabh Agarwal, Nino Vieillard, Yongchao Zhou, Piotr Stanczyk, Sabela Ramos, Matthieu Geist, Olivier Bachem. "On-Policy
Distillation of Language Models: Learning from Self-Generated Mistakes" (GKD). ICLR 2024.
https://arxiv.org/abs/2306.13649
"""

from __future__ import annotations

from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from distill_core.data import derive_seed
from distill_core.distributed import is_distributed
from distill_core.layers import within

from .._ignored import IGNORED
from ..data import Tokenizer
from ._ends import end_tokens, num_tokens, padding_token
from ._sample import Sampling, generate


@final
class OnPolicy(nn.Module):
    """Replace the completions of a batch by the student's own with probability λ.

    In an experiment it is one of the models, listed before those that it feeds, and references the student:

        _student: &student !import_call:distill_nlp.models.tiny_gpt2 {vocab_size: 2048}
        models:
          rollout: !import_call:distill_nlp.generation.OnPolicy {student: *student, tokenizer: *tokenizer}
          teacher: …
          student: *student
        stages:
          - feed:
              rollout: {input_ids: batch.input_ids, target: batch.target, mask: batch.mask}
              teacher: {input_ids: rollout:out.input_ids}
              student: {input_ids: rollout:out.input_ids}

    and losses read `rollout:out.mask`. No gradient flows through generated text. The decision is made once per batch and is
    the same on all processes. Its random numbers depend only on seed, stage, epoch and batch, so a run resumes bit for
    bit. While the student is in eval mode, and on the meta device, the batch is unchanged.

    Args:
        student: A causal language model of transformers. It is not registered as a submodule.
        tokenizer: A tokenizer of transformers, or its name or folder, for its end token, padding token and number of tokens:
            padding of the student's vocabulary is not sampled. The end tokens of the student's `generation_config` also
            end a text.
        fraction: λ, from 0 (data only) to 1.
        prompt_tokens: Number of prompt tokens of each sample, for continuous text. None ends the prompt at the first
            target that counts, for prompts with completions.
        max_new_tokens: Maximum number of generated tokens.
        temperature: Sampling temperature. 0 decodes greedily.
        top_k: Number of most probable tokens to sample from. None samples from all.
        top_p: Probability mass of the most probable tokens to sample from.
    """

    def __init__(
        self,
        student: nn.Module,
        tokenizer: str | Tokenizer,
        *,
        fraction: float = 0.5,
        prompt_tokens: int | None = None,
        max_new_tokens: int = 64,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> None:
        super().__init__()
        self._student = (student,)  # a tuple, so that nn.Module does not register it
        self.ends, self.padding = end_tokens(student, tokenizer), padding_token(tokenizer)
        self.num_tokens = num_tokens(tokenizer)
        self.fraction = within("fraction", fraction, 0, 1)
        self.prompt_tokens = prompt_tokens
        self.sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input_ids: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return a batch to train on.

        Args:
            input_ids: (batch, positions).
            target: (batch, positions), the next tokens.
            mask: (batch, positions), the targets that count.

        Returns:
            `input_ids`, `target` and `mask`, with as many positions as necessary, and `data_mask`, the targets that count
            and come from the data, for an additional cross-entropy.
        """
        batch = {"input_ids": input_ids, "target": target, "mask": mask, "data_mask": mask}
        if not self._student[0].training or input_ids.is_meta or self.fraction == 0:
            return batch
        seed = torch.initial_seed()  # the trainer has set it for this batch and process
        if self.fraction < 1 and _random(seed, input_ids.device) >= self.fraction:
            return batch
        generator = torch.Generator(input_ids.device).manual_seed(derive_seed(seed, 2))
        lengths = prompt_lengths(mask, self.prompt_tokens)
        written, counts = generate(
            self._student[0], input_ids, lengths, self.sampling,
            end=self.ends, num_tokens=self.num_tokens, generator=generator,
        )  # fmt: skip
        return joined(input_ids, lengths, written, counts, self.padding)


def prompt_lengths(mask: Tensor, tokens: int | None = None) -> Tensor:
    """Return the number of prompt tokens of each sample, (batch,): up to the first target that counts, or `tokens`.

    >>> prompt_lengths(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist()
    [3, 1]
    """
    if tokens is not None:
        return torch.full((len(mask),), min(tokens, mask.shape[1]), dtype=torch.long, device=mask.device)
    return mask.long().argmax(1) + 1


def joined(prompts: Tensor, lengths: Tensor, written: Tensor, counts: Tensor, padding: int) -> dict[str, Tensor]:
    """Join prompts and generated tokens to a batch in which only generated tokens are targets.

    Args:
        prompts: (batch, positions), left-aligned.
        lengths: (batch,), number of prompt tokens.
        written: (batch, new tokens), generated tokens.
        counts: (batch,), number of generated tokens that count.
        padding: The padding token.

    >>> batch = joined(torch.tensor([[5, 6], [7, 8]]), torch.tensor([2, 1]), torch.tensor([[1], [2]]), torch.ones(2), 0)
    >>> batch["input_ids"].tolist(), batch["target"].tolist()
    ([[5, 6], [7, 2]], [[-100, 1], [2, -100]])
    """
    width = int(lengths.max())
    offset = torch.arange(width + written.shape[1], device=prompts.device) - lengths[:, None]
    padded = torch.cat([prompts[:, :width], written], dim=1)  # `written` only extends the prompts to the full width
    tokens = torch.where(offset < 0, padded, written.gather(1, offset.clamp(0, written.shape[1] - 1)))
    counted = (offset >= 0) & (offset < counts[:, None])
    tokens = torch.where((offset < 0) | counted, tokens, padding)
    mask = counted[:, 1:]
    target = torch.where(mask, tokens[:, 1:], IGNORED)
    return {"input_ids": tokens[:, :-1], "target": target, "mask": mask, "data_mask": torch.zeros_like(mask)}


def _random(seed: int, device: torch.device) -> float:
    """Return a random number in [0, 1), drawn by the first process."""
    drawn = torch.rand((), generator=torch.Generator().manual_seed(derive_seed(seed, 1)), dtype=torch.float64)
    if is_distributed():
        drawn = drawn.to(device)
        dist.broadcast(drawn, 0)
    return float(drawn)
