"""On-policy data: the student is taught on what it writes itself.

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

from ..data import Tokenizer
from ._ends import end_tokens, padding_token
from ._sample import Sampling, generate

IGNORED = -100


@final
class OnPolicy(nn.Module):
    """With probability λ a batch's completions are replaced by those that the student writes just now.

    In an experiment it stands among the models, before those that it feeds, and holds the student that is defined above:

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

    and losses read `rollout:out.mask`. No gradient flows through what is written. λ is drawn once for a batch, the same
    on all processes; all chance follows from seed, stage, epoch and batch, so a run resumes bit for bit. While the student is in
    eval mode, as in every evaluation that reads it, and on the meta device the batch is what it was.

    Args:
        student: A causal language model of transformers. It is held, not owned: it is no submodule.
        tokenizer: A tokenizer of transformers, or its name or folder, for its end token and its padding token. The end
            tokens of the student's `generation_config` end a text too.
        fraction: λ, from 0, the data alone, to 1.
        prompt_tokens: So many tokens of each sample are the prompt, for running text; all up to the first target that
            counts if left out, for prompts with completions.
        max_new_tokens: How many are written at most.
        temperature: What the logits are divided by; at 0 the most probable token is taken.
        top_k: Only the so many most probable are drawn from; all if left out.
        top_p: Only the most probable are drawn from, as many as make up this probability.
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
        self._held = (student,)  # in a tuple, so that its tensors are not found here a second time
        self.ends, self.padding = end_tokens(student, tokenizer), padding_token(tokenizer)
        self.fraction = within("fraction", fraction, 0, 1)
        self.prompt_tokens = prompt_tokens
        self.sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input_ids: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """A batch to learn from.

        Args:
            input_ids: (batch, positions).
            target: (batch, positions), the tokens that come next.
            mask: (batch, positions), which targets count.

        Returns:
            The same three, of as many positions as it takes, and `data_mask`: the tokens that count and come from the
            data, none of them where the student wrote. For a cross-entropy beside the distillation.
        """
        batch = {"input_ids": input_ids, "target": target, "mask": mask, "data_mask": mask}
        if not self._held[0].training or input_ids.is_meta or self.fraction == 0:
            return batch
        seed = torch.initial_seed()  # of this batch and process: whoever trains has set it
        if self.fraction < 1 and _coin(seed, input_ids.device) >= self.fraction:
            return batch
        generator = torch.Generator(input_ids.device).manual_seed(derive_seed(seed, 2))
        lengths = prompt_lengths(mask, self.prompt_tokens)
        written, counts = generate(self._held[0], input_ids, lengths, self.sampling, end=self.ends, generator=generator)
        return joined(input_ids, lengths, written, counts, self.padding)


def prompt_lengths(mask: Tensor, tokens: int | None = None) -> Tensor:
    """How many tokens of each sample are its prompt, (batch,): those up to the first target that counts, or `tokens`.

    >>> prompt_lengths(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist()
    [3, 1]
    """
    if tokens is not None:
        return torch.full((len(mask),), min(tokens, mask.shape[1]), dtype=torch.long, device=mask.device)
    return mask.long().argmax(1) + 1


def joined(prompts: Tensor, lengths: Tensor, written: Tensor, counts: Tensor, padding: int) -> dict[str, Tensor]:
    """Prompts and what was written after them as a batch; only what was written counts.

    Args:
        prompts: (batch, positions), each on the left of its row.
        lengths: (batch,), of the prompts.
        written: (batch, new tokens).
        counts: (batch,), how many of the new tokens count.
        padding: The token that fills up.

    >>> batch = joined(torch.tensor([[5, 6], [7, 8]]), torch.tensor([2, 1]), torch.tensor([[1], [2]]), torch.ones(2), 0)
    >>> batch["input_ids"].tolist(), batch["target"].tolist()
    ([[5, 6], [7, 2]], [[-100, 1], [2, -100]])
    """
    width = int(lengths.max())
    place = torch.arange(width + written.shape[1], device=prompts.device)
    fresh = place - lengths[:, None]
    old = torch.cat([prompts[:, :width], written], dim=1)  # `written` only makes it wide enough
    tokens = torch.where(fresh < 0, old, written.gather(1, fresh.clamp(0, written.shape[1] - 1)))
    counted = (fresh >= 0) & (fresh < counts[:, None])
    tokens = torch.where((fresh < 0) | counted, tokens, padding)
    mask = counted[:, 1:]
    target = torch.where(mask, tokens[:, 1:], IGNORED)
    return {"input_ids": tokens[:, :-1], "target": target, "mask": mask, "data_mask": torch.zeros_like(mask)}


def _coin(seed: int, device: torch.device) -> float:
    """A number from [0, 1), that of the first process on all."""
    drawn = torch.rand((), generator=torch.Generator().manual_seed(derive_seed(seed, 1)), dtype=torch.float64)
    if is_distributed():
        drawn = drawn.to(device)
        dist.broadcast(drawn, 0)
    return float(drawn)
