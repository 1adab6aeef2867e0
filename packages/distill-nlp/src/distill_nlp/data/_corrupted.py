"""More texts for a teacher to judge: those at hand, with words dropped, exchanged or replaced.

    every word: replaced by a word of the texts with probability 0.1, dropped with 0.05
    every text: with probability 0.5 two neighbouring words change places

After the idea of distilling BERT into a small network with many texts that no one has labelled; there words are masked,
replaced by others of the same part of speech, and n-grams are taken alone.

Raphael Tang, Yao Lu, Linqing Liu, Lili Mou, Olga Vechtomova, Jimmy Lin. "Distilling Task-Specific Knowledge from BERT into
Simple Neural Networks". 2019. https://arxiv.org/abs/1903.12136
"""

from __future__ import annotations

import random
from collections.abc import Sequence

REPLACED, DROPPED, EXCHANGED = 0.1, 0.05, 0.5


def corrupted(texts: Sequence[str], seed: int = 0) -> list[str]:
    """A corrupted copy of each text; the same texts and seed give the same copies.

    >>> corrupted(["the cat sat on the mat", "dogs bark"], seed=5)
    ['the cat sat the on mat', 'bark dogs']
    """
    words = [word for text in texts for word in text.split()]
    chance = random.Random(seed)  # noqa: S311  nothing secret
    return [_corrupted(text, words, chance) for text in texts]


def _corrupted(text: str, words: Sequence[str], chance: random.Random) -> str:
    kept = []
    for word in text.split():
        drawn = chance.random()
        if drawn < REPLACED:
            kept.append(chance.choice(words))
        elif drawn >= REPLACED + DROPPED:
            kept.append(word)
    if len(kept) > 1 and chance.random() < EXCHANGED:
        place = chance.randrange(len(kept) - 1)
        kept[place : place + 2] = kept[place + 1], kept[place]
    return " ".join(kept) or text
