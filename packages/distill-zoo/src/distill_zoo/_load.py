"""Loading of weights and models from the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._build import build, head_names
from ._card import Card
from ._cards import card as find_card
from ._checkpoint import read_state_dict
from ._download import download
from ._errors import ZooError
from ._load_state_dict import fill
from ._optional import optional
from ._preprocess import Preprocess

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_state_dict(name: str) -> dict[str, Tensor]:
    """Return the tensors of a model by name, on the CPU.

    Raises:
        ZooError: The model is unknown, the download failed, torch is not installed, or the file does not hold weights.
    """
    card = find_card(name)
    return read_state_dict(card.name, download(card.name))


def load(name: str, **overrides: Any) -> nn.Module:
    """Return a model with its weights, in eval mode, on the CPU.

    If torch's default device is `meta`, only the architecture is built and nothing is downloaded.

    Args:
        name: A name that `list_models` returns.
        **overrides: Arguments of the builder that replace the card's. If they change the number of classes, tensors of
            the head are newly initialised and logged, and all others are loaded.

    Raises:
        ZooError: The model is unknown, the builder's package is not installed, the builder does not accept an argument,
            or the weights do not match the model.
    """
    card = find_card(name)
    torch = optional("torch", f"reading {card.name} requires torch")
    model = build(card, overrides)
    if torch.get_default_device().type != "meta":
        head = head_names(card, overrides)
        new = fill(card.name, model, load_state_dict(card.name), card.ignored, head)
        name_classes(model, card, new)
    return model.eval()


def name_classes(model: nn.Module, card: Card, new: Sequence[str]) -> None:
    """Set `model.class_names` to the card's labels unless the head is new."""
    if card.labels and not new:
        model.class_names = card.labels  # type: ignore[assignment]


def transforms(name: str) -> Preprocess:
    """Return the preprocessing that turns an image into the model's input.

    Raises:
        ZooError: The model is unknown, or its card describes no image input.
    """
    card = find_card(name)
    if card.input is None:
        tokenizer = f"use transformers.AutoTokenizer.from_pretrained('{card.weights.repo}') if it takes text"
        message = f"{card.name}: the card describes no image input"
        raise ZooError(message, hint=tokenizer if card.weights.repo else "")
    return Preprocess(card.input)
