"""Byte-level byte-pair encoding, as GPT-2 has it: every text has tokens, and none is unknown.

Alec Radford, Jeffrey Wu, Rewon Child, David Luan, Dario Amodei, Ilya Sutskever. "Language Models are Unsupervised
Multitask Learners". 2019. https://openai.com/index/better-language-models/. Byte-pair encoding: Rico Sennrich, Barry
Haddow, Alexandra Birch. "Neural Machine Translation of Rare Words with Subword Units". ACL 2016.
https://arxiv.org/abs/1508.07909
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

END = "<|endoftext|>"


def byte_level(texts: Iterable[str], *, vocab_size: int = 8000) -> Any:
    """A tokenizer of transformers trained on texts; the same texts give the same tokenizer.

    Args:
        texts: What it learns from; without any, it knows the 256 bytes.
        vocab_size: How many tokens at most, the bytes and the end token among them.

    Returns:
        A `PreTrainedTokenizerFast` whose end token `<|endoftext|>` also fills up batches; `save_pretrained` writes it to a
        folder.
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
    """`byte_level` trained on the training documents that `distill_nlp.data.language_modelling` takes from the same place.

    With `cache`, a folder, it is kept there for the next time. On the meta device (`distill check --deep`) nothing is
    read and it knows the bytes only.
    """
    if torch.get_default_device().type == "meta":
        return byte_level([])
    from ..data import read_documents, split_documents

    texts = split_documents(read_documents(documents), "train", val=val, test=test, seed=split_seed)
    return byte_level(texts, vocab_size=vocab_size) if cache is None else _kept(texts, vocab_size, Path(cache))


def _kept(texts: list[str], vocab_size: int, folder: Path) -> Any:
    """The tokenizer of these texts as it was kept, or made and kept."""
    from tokenizers import Tokenizer

    digest = hashlib.sha256(json.dumps([texts, vocab_size]).encode()).hexdigest()[:32]
    path = folder.expanduser() / f"tokenizer-{digest}.json"
    if path.is_file():
        return _wrapped(Tokenizer.from_file(str(path)))
    made = byte_level(texts, vocab_size=vocab_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    unfinished.write_text(made.backend_tokenizer.to_str(), encoding="utf-8")
    os.replace(unfinished, path)
    return made


def _wrapped(core: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=core, eos_token=END, pad_token=END, model_input_names=["input_ids", "attention_mask"])
