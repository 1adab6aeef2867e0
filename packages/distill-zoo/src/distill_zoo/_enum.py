"""What the enumerations of names have in common."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._card import Card
from ._cards import card
from ._download import download
from ._load import load, transforms
from ._preprocess import Preprocess

if TYPE_CHECKING:
    from torch import nn


class Named(enum.StrEnum):
    """A name of the zoo; it is the text that every function of this package takes."""

    @property
    def card(self) -> Card:
        """What is known of the weights."""
        return card(self.value)

    def download(self) -> Path:
        """The file of the weights; see `distill_zoo.download`."""
        return download(self.value)

    def load(self, **overrides: Any) -> nn.Module:
        """The model with its weights; see `distill_zoo.load`."""
        return load(self.value, **overrides)

    def transforms(self) -> Preprocess:
        """What turns an image into what the model is fed with."""
        return transforms(self.value)
