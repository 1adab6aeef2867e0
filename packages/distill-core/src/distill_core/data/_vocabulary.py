"""The vocabulary of a model's logits, by which the trainer compares models whose vocabularies are padded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """The tokens for which the logits of a model stand.

    A data set may have a method `vocabulary_of(model, inputs)` that returns the vocabulary of a model that it feeds, or
    None if it is not known; see `with_example` for data functions. Models often have more logits than their tokenizer has
    tokens. The trainer compares the logits that two models with equal tokens have in common.

    Attributes:
        num_tokens: The greatest index of a token, plus 1.
        digest: A hash of all tokens with their indices.
        num_outputs: The number of logits.
        outputs: The addresses of the logits in the model, `:out.logits`.
    """

    num_tokens: int
    digest: str
    num_outputs: int
    outputs: tuple[str, ...]

    def has_tokens_of(self, other: Vocabulary) -> bool:
        """Return whether both vocabularies have the same tokens with the same indices."""
        return (self.num_tokens, self.digest) == (other.num_tokens, other.digest)
