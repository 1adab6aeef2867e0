"""Byte-level byte-pair encoding as in GPT-2, without unknown tokens.

Alec Radford, Jeffrey Wu, Rewon Child, David Luan, Dario Amodei, Ilya Sutskever. "Language Models are Unsupervised
Multitask Learners". 2019. https://openai.com/index/better-language-models/. Byte-pair encoding: Rico Sennrich, Barry
Haddow, Alexandra Birch. "Neural Machine Translation of Rare Words with Subword Units". ACL 2016.
https://arxiv.org/abs/1508.07909
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from .._atomic import atomic_path

END = "<|endoftext|>"


def byte_level(texts: Iterable[str], *, vocab_size: int = 8000) -> Any:
    """Train a tokenizer on texts. The same texts give the same tokenizer.

    Args:
        texts: The training texts. Without texts, the vocabulary is the 256 bytes.
        vocab_size: Maximum size of the vocabulary, including the bytes and the end token.

    Returns:
        A `PreTrainedTokenizerFast` whose end token `<|endoftext|>` is also its padding token.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return _wrapped(core)


def text_byte_level(
    documents: Any,
    *,
    vocab_size: int = 8000,
    val: float = 0.05,
    test: float = 0.05,
    split_seed: int = 0,
    cache: str | Path | None = None,
) -> Any:
    """Train `byte_level` on the training split of documents, as in `distill_nlp.data.language_modelling`.

    The folder `cache` caches the tokenizer. On the meta device (`distill check --deep`) nothing is read and the vocabulary
    is the bytes.
    """
    if torch.get_default_device().type == "meta":
        return byte_level([])
    from ..data import read_documents, split_documents

    texts = split_documents(read_documents(documents), "train", val=val, test=test, seed=split_seed)
    return byte_level(texts, vocab_size=vocab_size) if cache is None else _cached(texts, vocab_size, Path(cache))


def _cached(texts: list[str], vocab_size: int, folder: Path) -> Any:
    """Load the tokenizer from the cache, or train and cache it."""
    from tokenizers import Tokenizer

    digest = hashlib.sha256(json.dumps([texts, vocab_size]).encode()).hexdigest()[:32]
    path = folder.expanduser() / f"tokenizer-{digest}.json"
    if path.is_file():
        return _wrapped(Tokenizer.from_file(str(path)))
    trained = byte_level(texts, vocab_size=vocab_size)
    with atomic_path(path) as unfinished:
        unfinished.write_text(trained.backend_tokenizer.to_str(), encoding="utf-8")
    return trained


def _wrapped(core: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    factory: Any = PreTrainedTokenizerFast
    return factory(
        tokenizer_object=core, eos_token=END, pad_token=END, model_input_names=["input_ids", "attention_mask"]
    )
