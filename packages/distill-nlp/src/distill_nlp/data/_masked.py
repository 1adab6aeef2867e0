"""Masked language modelling, as in the pretraining of BERT and DistilBERT.

    Each token that is not special is chosen with probability 0.15. A chosen token is replaced by the mask token with
    probability 0.8, by a random token with 0.1, and kept with 0.1. Its target is the original token; all others are −100.

The masks depend only on seed, stage, epoch and sample, so a resumed run uses the same masks.

Jacob Devlin, Ming-Wei Chang, Kenton Lee, Kristina Toutanova. "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding". NAACL 2019. https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from distill_core.data import Loader, Vocabulary, with_example
from distill_core.errors import DataError

from .._ignored import IGNORED
from ._collate import PadCollate
from ._documents import Documents, read_documents
from ._encoded import EncodedTexts, Tokenizer, find_tokenizer
from ._example import check_of_texts, example_tokens
from ._grouped import loader_of_texts
from ._readable import check_readable, extents_of
from ._vocabularies import token_set, vocabulary_of


def _example(tokenizer: str | Tokenizer, batch_size: int) -> dict[str, Tensor]:
    fields = example_tokens(tokenizer, batch_size)
    others = {
        "target": torch.zeros(batch_size, 8, dtype=torch.long, device="meta"),
        "chosen": torch.zeros(batch_size, 8, dtype=torch.bool, device="meta"),
        "index": torch.zeros(batch_size, dtype=torch.long, device="meta"),
    }
    return fields | others


def _vocabulary(model: nn.Module, inputs: Mapping[str, str], *, tokenizer: str | Tokenizer) -> Vocabulary | None:
    return vocabulary_of(model, inputs, {"input_ids": token_set(tokenizer)})


@with_example(_example, check_of_texts, _vocabulary)
def masked_language_modelling(
    documents: Documents,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    probability: float = 0.15,
    max_length: int = 128,
    column: str = "text",
    separator: str | None = None,
    shuffle: bool = True,
    group_by_length: bool = False,
    num_workers: int = 0,
    cache: str | Path | None = None,
) -> Loader:
    """Build a loader of texts with masked tokens, drawn again in each epoch.

    Args:
        documents: A text file, a folder of text files, a table, or the texts themselves; see `read_documents`.
        tokenizer: A tokenizer of transformers with a mask token, or its name or folder.
        batch_size: Number of samples per batch.
        probability: The probability that a token is chosen.
        max_length: Number of tokens to which longer texts are truncated.
        column: The column of a table.
        separator: The text between two documents in a file.
        shuffle: Shuffle in each epoch.
        group_by_length: Put texts of similar length into one batch, which reduces padding.
        num_workers: Number of processes that prefetch batches.
        cache: A folder that caches the tokens.

    Returns:
        A loader of `input_ids` and `attention_mask` (batch, longest), any further fields of the tokenizer, `target`
        (batch, longest), which holds the chosen tokens and −100 elsewhere, and `chosen` (batch, longest) bool.

    Raises:
        DataError: The documents do not exist, or the tokenizer has no mask token.
    """
    texts = read_documents(documents, column=column, separator=separator)
    encoded = EncodedTexts([texts], None, find_tokenizer(tokenizer), max_length, cache=cache)
    dataset = MaskedTexts(encoded, find_tokenizer(tokenizer), probability)
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


@final
class MaskedTexts:
    """Texts whose tokens are masked at every access.

    Args:
        texts: The texts.
        tokenizer: Their tokenizer.
        probability: The probability that a token is chosen.

    Attributes:
        lengths: (samples,) int64, number of tokens.

    Raises:
        DataError: The tokenizer has no mask token, or `probability` is not between 0 and 1.
    """

    def __init__(self, texts: EncodedTexts, tokenizer: Tokenizer, probability: float = 0.15) -> None:
        mask = getattr(tokenizer, "mask_token_id", None)
        if mask is None:
            message = f"{type(tokenizer).__name__} has no mask token"
            raise DataError(message, hint="set its mask_token")
        if not 0 < probability < 1:
            message = f"`probability` must be between 0 and 1, got {probability}"
            raise DataError(message)
        self.texts, self.probability, self.mask = texts, probability, int(mask)
        self.special = torch.tensor(sorted(set(getattr(tokenizer, "all_special_ids", []))), dtype=torch.long)
        words = torch.arange(len(tokenizer))  # type: ignore[arg-type]
        self.words = words[~torch.isin(words, self.special)]
        self.lengths = texts.lengths
        padding = texts.collate.padding | {"target": IGNORED, "chosen": 0}
        self.collate = PadCollate(padding, side=texts.collate.side)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return self.texts.tokenizer

    def __len__(self) -> int:
        return len(self.texts)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts or the replacement tokens."""
        extents = {
            field: replace(extent, greatest=max(extent.greatest, self.mask, *self.words[-1:].tolist()))
            for field, extent in extents_of(self.texts.fields, inputs).items()
        }
        check_readable(name, model, inputs, extents, self.collate.padding, self.collate.side)

    def vocabulary_of(self, model: nn.Module, inputs: Mapping[str, str]) -> Vocabulary | None:
        """Return the vocabulary of a model that reads these texts."""
        return vocabulary_of(model, inputs, {"input_ids": token_set(self.texts.tokenizer)})

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one masked text. The loader seeds the random numbers."""
        sample: Mapping[str, Tensor] = self.texts[index]
        tokens = sample["input_ids"]
        drawn, replacement = torch.rand(2, len(tokens)).unbind(0)
        chosen = (drawn < self.probability) & ~torch.isin(tokens, self.special)
        masked = torch.where(chosen & (replacement < 0.8), self.mask, tokens)
        others = self.words[torch.randint(len(self.words), (len(tokens),))]
        masked = torch.where(chosen & (replacement >= 0.8) & (replacement < 0.9), others, masked)
        return {**sample, "input_ids": masked, "target": tokens.masked_fill(~chosen, IGNORED), "chosen": chosen}
