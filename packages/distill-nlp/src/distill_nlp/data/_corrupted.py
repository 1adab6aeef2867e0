"""Data augmentation: copies of texts with words dropped, swapped or replaced, for the teacher to label.

    each word: replaced by a word of the texts with probability 0.1, dropped with probability 0.05
    each text: two neighbouring words are swapped with probability 0.5

Based on the distillation of BERT into a small network with many unlabelled texts. That paper masks words, replaces them
by others of the same part of speech, and samples n-grams.

Raphael Tang, Yao Lu, Linqing Liu, Lili Mou, Olga Vechtomova, Jimmy Lin. "Distilling Task-Specific Knowledge from BERT into
Simple Neural Networks". 2019. https://arxiv.org/abs/1903.12136
"""

from __future__ import annotations

import random
from collections.abc import Sequence

REPLACED, DROPPED, SWAPPED = 0.1, 0.05, 0.5


def corrupted(texts: Sequence[str], seed: int = 0) -> list[str]:
    """Return a corrupted copy of each text. The same texts and seed give the same copies.

    >>> corrupted(["the cat sat on the mat", "dogs bark"], seed=5)
    ['the cat sat the on mat', 'bark dogs']
    """
    words = [word for text in texts for word in text.split()]
    rng = random.Random(seed)  # noqa: S311 - not for security
    return [_corrupted(text, words, rng) for text in texts]


def _corrupted(text: str, words: Sequence[str], rng: random.Random) -> str:
    kept = []
    for word in text.split():
        drawn = rng.random()
        if drawn < REPLACED:
            kept.append(rng.choice(words))
        elif drawn >= REPLACED + DROPPED:
            kept.append(word)
    if len(kept) > 1 and rng.random() < SWAPPED:
        index = rng.randrange(len(kept) - 1)
        kept[index : index + 2] = kept[index + 1], kept[index]
    return " ".join(kept) or text
