"""Saving and loading of a model as a folder with safetensors, config.json and a README."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._build import build, head_names
from ._card import Card
from ._cards import card as find_card
from ._cards import registry
from ._checkpoint import read_state_dict
from ._errors import ZooError
from ._hub import push_folder, snapshot
from ._load import load_state_dict, name_classes
from ._load_state_dict import fill
from ._optional import optional
from ._parse_cards import decode
from ._readme import describe
from ._safetensors import write_safetensors

if TYPE_CHECKING:
    from torch import nn

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"
FORMAT = 1


def save_pretrained(name: str, folder: str | os.PathLike[str], *, model: nn.Module | None = None) -> Path:
    """Write the weights, the card and a README to a folder, and return the folder.

    Args:
        name: A name in the zoo.
        folder: The folder, created if it does not exist.
        model: A model that was loaded and fine-tuned. Its weights replace the card's, and the card's metrics are
            omitted.

    Raises:
        ZooError: The model is unknown, or its weights cannot be loaded.
    """
    card = find_card(name)
    target = Path(folder)
    weights = load_state_dict(card.name) if model is None else model.state_dict()
    if model is not None:
        card = dataclasses.replace(card, metrics=(), trained_by=None, teacher="", note=f"fine-tuned from {card.name}")
    # Tied tensors are written once per name.
    write_safetensors(dict(weights), target / WEIGHTS)
    (target / CONFIG).write_text(json.dumps(_record(card), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (target / README).write_text(describe(card), encoding="utf-8")
    return target


def from_pretrained(
    source: str | os.PathLike[str], *, revision: str = "", builder: Callable[..., Any] | None = None, **overrides: Any
) -> nn.Module:
    """Return the model of a folder that `save_pretrained` wrote, with its weights, in eval mode.

    The builder in the folder's config is called only if a card of the zoo uses it. Otherwise pass `builder`.

    Args:
        source: The folder, or a repository on the Hugging Face Hub, `owner/name`.
        revision: A commit, tag or branch of the repository.
        builder: The function that builds the model.
        **overrides: Arguments of the builder that replace the folder's; see `load`.

    Raises:
        ZooError: `source` is not such a folder, its builder is not trusted, or the weights do not match the model.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = snapshot(os.fspath(source), revision, [WEIGHTS, CONFIG])
    card = read_config(folder)
    if builder is None:
        _refuse_unknown_builders(folder, card)
    torch = optional("torch", f"reading {card.name} requires torch")
    model = build(card, overrides, builder)
    if torch.get_default_device().type != "meta":
        weights = read_state_dict(card.name, folder / WEIGHTS)
        new = fill(card.name, model, weights, card.ignored, head_names(card, overrides, builder))
        name_classes(model, card, new)
    return model.eval()


def push_to_hub(
    name: str,
    repo: str,
    *,
    model: nn.Module | None = None,
    private: bool = False,
    message: str = "Weights, card, README",
) -> str:
    """Upload the folder that `save_pretrained` writes to the Hugging Face Hub, and return the URL of the commit.

    Args:
        name: A name in the zoo.
        repo: The repository `owner/name`, created if it does not exist.
        model: See `save_pretrained`.
        private: Whether to create the repository as private.
        message: The commit message.

    Raises:
        ZooError: huggingface_hub is not installed, the network is disabled, or the upload failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(name, folder, model=model)
        return push_folder(Path(folder), repo, private=private, message=message)


def read_config(folder: Path) -> Card:
    """Return the card in the folder's config.json.

    Raises:
        ZooError: The file does not exist or does not hold a card.
    """
    path = folder / CONFIG
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path} cannot be read: {error}"
        raise ZooError(message) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        message = f"{path} was not written by distill_zoo.save_pretrained"
        raise ZooError(message, hint="load models of transformers with its own from_pretrained")
    return decode(Card, record.get("card"), str(path))


def _record(card: Card) -> dict[str, Any]:
    values = {key: value for key, value in dataclasses.asdict(card).items() if value not in ("", None, (), {})}
    values["weights"] = {"file": WEIGHTS, "format": "safetensors"}
    values["ignored"] = card.ignored
    values.pop("owner", None)
    return {"format": FORMAT, "card": values}


def _builders(value: Any) -> set[str]:
    """Return all import paths in a card's builder and arguments."""
    if isinstance(value, Card):
        return {value.builder} | _builders(value.kwargs)
    if isinstance(value, list | tuple):
        return set().union(*map(_builders, value))
    if not isinstance(value, dict):
        return set()
    own = {str(value["builder"])} if value.keys() == {"builder", "kwargs"} else set()
    return own.union(*map(_builders, value.values()))


def _refuse_unknown_builders(folder: Path, card: Card) -> None:
    known: set[str] = set().union(*map(_builders, registry().cards.values()))
    for path in sorted(_builders(card) - known):
        message = f"{folder / CONFIG} calls '{path}', which no card of the zoo uses"
        raise ZooError(message, hint="pass the function: from_pretrained(…, builder=…)")
