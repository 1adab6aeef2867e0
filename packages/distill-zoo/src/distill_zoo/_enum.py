"""Base class of the enumerations of names."""

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
    """A name in the zoo, as a string that every function of this package accepts."""

    @property
    def card(self) -> Card:
        """The card."""
        return card(self.value)

    def download(self) -> Path:
        """Return the path of the weight file; see `distill_zoo.download`."""
        return download(self.value)

    def load(self, **overrides: Any) -> nn.Module:
        """Return the model with its weights; see `distill_zoo.load`."""
        return load(self.value, **overrides)

    def transforms(self) -> Preprocess:
        """Return the preprocessing of the model; see `distill_zoo.transforms`."""
        return transforms(self.value)
