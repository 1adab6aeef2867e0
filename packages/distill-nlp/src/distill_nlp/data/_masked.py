"""Running texts with words masked, as BERT was pretrained and as DistilBERT is distilled.

    of the tokens that are no special ones, each is chosen with probability 0.15; a chosen one becomes the mask token with
    probability 0.8, a token by chance with 0.1, and stays with 0.1; the target is what it was, −100 elsewhere

Chance follows from seed, stage, epoch and sample, so a run resumes with the same masks.

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

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ._collate import PadCollate
from ._documents import Documents, read_documents
from ._encoded import EncodedTexts, Tokenizer, find_tokenizer
from ._example import check_of_texts, example_tokens
from ._grouped import loader_of_texts
from ._readable import check_readable, extents_of

IGNORED = -100


def _example(tokenizer: str | Tokenizer, batch_size: int) -> dict[str, Tensor]:
    fields = example_tokens(tokenizer, batch_size)
    more = {
        "target": torch.zeros(batch_size, 8, dtype=torch.long, device="meta"),
        "chosen": torch.zeros(batch_size, 8, dtype=torch.bool, device="meta"),
        "index": torch.zeros(batch_size, dtype=torch.long, device="meta"),
    }
    return fields | more


@with_example(_example, check_of_texts)
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
    """Batches of texts with words masked, anew in each epoch.

    Args:
        documents: A text file, a folder of text files, a table, or the texts themselves; see `read_documents`.
        tokenizer: A tokenizer of transformers with a mask token, or its name or folder.
        batch_size: Samples per batch.
        probability: Of each token to be chosen.
        max_length: Longer texts are cut to this many tokens.
        column: The column of a table.
        separator: What stands between two texts in a file.
        shuffle: A new order in each epoch.
        group_by_length: Texts of about the same length share a batch, so that little is padding.
        num_workers: Processes that read ahead.
        cache: A folder in which the tokens are kept for the next time.

    Returns:
        Batches with `input_ids` and `attention_mask` (batch, longest), whatever else the tokenizer gives, `target`
        (batch, longest), the tokens that were chosen and −100 elsewhere, and `chosen` (batch, longest) bool: where.

    Raises:
        DataError: There are no such documents, or the tokenizer has no mask token.
    """
    texts = read_documents(documents, column=column, separator=separator)
    encoded = EncodedTexts([texts], None, find_tokenizer(tokenizer), max_length, cache=cache)
    dataset = MaskedTexts(encoded, find_tokenizer(tokenizer), probability)
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


@final
class MaskedTexts:
    """Texts whose tokens are masked when they are read.

    Args:
        texts: The texts.
        tokenizer: Their tokenizer.
        probability: Of each token to be chosen.

    Attributes:
        lengths: (samples,) int64, how many tokens each has.

    Raises:
        DataError: The tokenizer has no mask token, or `probability` is none.
    """

    def __init__(self, texts: EncodedTexts, tokenizer: Tokenizer, probability: float = 0.15) -> None:
        mask = getattr(tokenizer, "mask_token_id", None)
        if mask is None:
            message = f"{type(tokenizer).__name__} has no mask token\n  hint: set its mask_token"
            raise DataError(message)
        if not 0 < probability < 1:
            message = f"probability is between 0 and 1, not {probability}"
            raise DataError(message)
        self.texts, self.probability, self.mask = texts, probability, int(mask)
        self.special = torch.tensor(sorted(set(getattr(tokenizer, "all_special_ids", []))), dtype=torch.long)
        words = torch.arange(len(tokenizer))  # type: ignore[arg-type]
        self.words = words[~torch.isin(words, self.special)]
        self.lengths = texts.lengths
        padding = texts.collate.padding | {"target": IGNORED, "chosen": 0}
        self.collate = PadCollate(padding, side=texts.collate.side)

    def __len__(self) -> int:
        return len(self.texts)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts, or the tokens that stand for masked ones."""
        extents = {
            field: replace(extent, greatest=max(extent.greatest, self.mask, *self.words[-1:].tolist()))
            for field, extent in extents_of(self.texts.fields, inputs).items()
        }
        check_readable(name, model, inputs, extents, self.collate.padding, self.collate.side)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One text, masked by the chance of the moment, which the loader seeds."""
        sample: Mapping[str, Tensor] = self.texts[index]
        tokens = sample["input_ids"]
        drawn, fate = torch.rand(2, len(tokens)).unbind(0)
        chosen = (drawn < self.probability) & ~torch.isin(tokens, self.special)
        masked = torch.where(chosen & (fate < 0.8), self.mask, tokens)
        others = self.words[torch.randint(len(self.words), (len(tokens),))]
        masked = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), others, masked)
        return {**sample, "input_ids": masked, "target": tokens.masked_fill(~chosen, IGNORED), "chosen": chosen}
