"""WordPiece, as in BERT.

Yonghui Wu et al. "Google's Neural Machine Translation System: Bridging the Gap between Human and Machine Translation".
2016. https://arxiv.org/abs/1609.08144
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"


def wordpiece(texts: Iterable[str], *, vocab_size: int = 8000, lowercase: bool = True) -> Any:
    """Train a tokenizer on texts. The same texts give the same tokenizer.

    Args:
        texts: The training texts.
        vocab_size: Maximum size of the vocabulary. A piece must occur at least twice.
        lowercase: Convert to lower case and strip accents.

    Returns:
        A `PreTrainedTokenizerFast`.
    """
    from tokenizers import Tokenizer, models, trainers

    texts = list(texts)
    core = _core(models.WordPiece(unk_token="[UNK]"), lowercase=lowercase)  # noqa: S106 - a token of text
    # By default the trainer numbers continuing pieces in the order of a hash table, which differs between processes.
    # As special tokens they get fixed indices.
    words = {
        word for text in texts for word, _ in core.pre_tokenizer.pre_tokenize_str(core.normalizer.normalize_str(text))
    }
    continuing = sorted({PREFIX + letter for word in words for letter in word[1:]})
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocab_size, len(SPECIAL)),
        min_frequency=2,
        special_tokens=[*SPECIAL, *continuing],
        continuing_subword_prefix=PREFIX,
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    vocabulary: dict[str, int] = dict(core.get_vocab(with_added_tokens=False))
    trained: Tokenizer = _core(models.WordPiece(vocabulary, unk_token="[UNK]"), lowercase=lowercase)  # noqa: S106
    return _wrapped(trained)


def glue_wordpiece(task: str, *, vocab_size: int = 8000, root: str | Path | None = None, hub: str | None = None) -> Any:
    """Train a tokenizer on the training texts of a GLUE task; see `distill_nlp.data.glue` for the files.

    On the meta device (`distill check --deep`) nothing is read and the vocabulary is empty.
    """
    if torch.get_default_device().type == "meta":
        return wordpiece([])
    from ..data import glue_texts

    columns = glue_texts(task, "train", root=root, hub=hub)
    return wordpiece((text for column in columns for text in column), vocab_size=vocab_size)


def _core(model: Any, *, lowercase: bool) -> Any:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    core = Tokenizer(model)
    core.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return core


def _wrapped(core: Any) -> Any:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    ends = [(token, core.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    names = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    fields = ["input_ids", "token_type_ids", "attention_mask"]
    factory: Any = PreTrainedTokenizerFast
    return factory(tokenizer_object=core, model_input_names=fields, **names)
