"""Weights and whole models from the zoo."""

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
    """The tensors of a model by name, on the CPU.

    Raises:
        ZooError: No such model, no such file, torch is not installed, or the file is not one of weights.
    """
    card = find_card(name)
    return read_state_dict(card.name, download(card.name))


def load(name: str, **overrides: Any) -> nn.Module:
    """A model with its weights, in eval mode, on the CPU.

    Where torch's default device is `meta` only the architecture is built and nothing is fetched.

    Args:
        name: As `list_models` gives it.
        **overrides: Arguments of the function that builds the model, in place of the card's. With another
            `num_classes` the tensors whose shape depends on it are new, which is logged, and the rest is loaded.

    Raises:
        ZooError: No such model, its builder's package is not installed, an argument is not the builder's, or the weights
            do not fit the model.
    """
    card = find_card(name)
    torch = optional("torch", f"{card.name} is read with torch")
    model = build(card, overrides)
    if torch.get_default_device().type != "meta":
        head = head_names(card, overrides)
        new = fill(card.name, model, load_state_dict(card.name), card.ignored, head)
        name_classes(model, card, new)
    return model.eval()


def name_classes(model: nn.Module, card: Card, new: Sequence[str]) -> None:
    """Keep the names of the classes with a model whose head is the card's: `model.class_names`."""
    if card.labels and not new:
        model.class_names = card.labels  # type: ignore[assignment]


def transforms(name: str) -> Preprocess:
    """What turns an image into what the model is fed with.

    Raises:
        ZooError: No such model, or it takes no images, or its card does not say which.
    """
    card = find_card(name)
    if card.input is None:
        where = f": transformers.AutoTokenizer.from_pretrained('{card.weights.repo}') may" if card.weights.repo else ""
        message = f"{card.name}: its card says nothing of images that it takes" + (
            f"\n  hint: it takes text{where}" if where else ""
        )
        raise ZooError(message)
    return Preprocess(card.input)
