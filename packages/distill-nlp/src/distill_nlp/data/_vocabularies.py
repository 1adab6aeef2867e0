"""Vocabularies of models, by the tokens of their tokenizers."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from distill_core.data import Vocabulary
from distill_core.errors import DistillError

from ._encoded import Tokenizer, load_tokenizer


class TokenSet(NamedTuple):
    """The tokens of a tokenizer: the greatest index plus 1, and a hash of all tokens with their indices."""

    num_tokens: int
    digest: str


def token_set(tokenizer: str | Tokenizer | None) -> TokenSet | None:
    """Return the tokens of a tokenizer, None if it does not exist or does not list them."""
    if isinstance(tokenizer, str):
        return _named(tokenizer)
    tokens: dict[str, int] = getattr(tokenizer, "get_vocab", dict)()
    if not tokens:
        return None
    text = json.dumps(sorted(tokens.items()))
    return TokenSet(max(tokens.values()) + 1, hashlib.sha256(text.encode()).hexdigest())


def vocabulary_of(
    model: nn.Module, inputs: Mapping[str, str], tokens: Mapping[str, TokenSet | None]
) -> Vocabulary | None:
    """Return the vocabulary of the logits of a language model, None if it is not known.

    The tokens are those of the tokenizer in the model's own folder, otherwise those of the field that it reads.

    Args:
        model: A model of transformers with an output layer over tokens.
        inputs: Its parameters → fields of the batch.
        tokens: Field of the batch → the tokens of its tokenizer. A model that is fed by another model reads those of the
            only tokenizer.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None  # type: ignore[operator]
    if head is None:
        return None
    only = next(iter(tokens.values())) if len(tokens) == 1 else None
    name_or_path = str(getattr(model, "name_or_path", "") or "")
    found = (_named(name_or_path) if name_or_path else None) or tokens.get(inputs.get("input_ids", ""), only)
    if found is None:
        return None
    outputs = (":out.logits", *(name for name, module in model.named_modules() if module is head))
    return Vocabulary(found.num_tokens, found.digest, len(head.weight), outputs)


@functools.lru_cache(maxsize=32)
def _named(name_or_path: str) -> TokenSet | None:
    try:
        tokenizer: Any = load_tokenizer(name_or_path)
    except DistillError:
        return None
    return token_set(tokenizer)
