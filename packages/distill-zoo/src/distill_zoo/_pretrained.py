"""A model as a folder that explains itself: safetensors, config.json and a README; and back."""

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
    """Write the weights of a card, its card and a README to a folder; return the folder.

    Args:
        name: Of the zoo.
        folder: Made if it is not there.
        model: Its weights in place of the card's: one that was loaded and trained further. The numbers of the card are
            left out then, because they are not its own.

    Raises:
        ZooError: No such model, or its weights cannot be had.
    """
    card = find_card(name)
    target = Path(folder)
    weights = load_state_dict(card.name) if model is None else model.state_dict()
    if model is not None:
        card = dataclasses.replace(card, metrics=(), trained_by=None, teacher="", note=f"begun from {card.name}")
    # Two names may share a tensor; in the file each has its own.
    write_safetensors(dict(weights), target / WEIGHTS)
    (target / CONFIG).write_text(json.dumps(_record(card), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (target / README).write_text(describe(card), encoding="utf-8")
    return target


def from_pretrained(
    source: str | os.PathLike[str], *, revision: str = "", builder: Callable[..., Any] | None = None, **overrides: Any
) -> nn.Module:
    """The model of a folder that `save_pretrained` wrote, with its weights, in eval mode.

    What the folder says builds the model is only called if a card of the zoo says the same; anything else must be given.

    Args:
        source: The folder, or a repository of the Hugging Face Hub, `owner/name`.
        revision: A commit, tag or branch of the repository.
        builder: The function that builds the model.
        **overrides: Arguments of that function, in place of the folder's; another `num_classes` as for `load`.

    Raises:
        ZooError: It is no such folder, its builder is not known, or the weights do not fit.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = snapshot(os.fspath(source), revision, [WEIGHTS, CONFIG])
    card = read_config(folder)
    if builder is None:
        _refuse_strangers(folder, card)
    torch = optional("torch", f"{card.name} is read with torch")
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
    """Upload what `save_pretrained` writes to a repository of the Hugging Face Hub; return the address of the commit.

    Args:
        name: Of the zoo.
        repo: `owner/name`; made if there is none.
        model: See `save_pretrained`.
        private: Whether a repository that is made is private.
        message: Of the commit.

    Raises:
        ZooError: huggingface_hub is not installed, the network may not be used, or the hub refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(name, folder, model=model)
        return push_folder(Path(folder), repo, private=private, message=message)


def read_config(folder: Path) -> Card:
    """The card in the folder's config.json.

    Raises:
        ZooError: There is none, or it is not one.
    """
    path = folder / CONFIG
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path} cannot be read: {error}"
        raise ZooError(message) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        message = f"{path} was not written by distill_zoo.save_pretrained\n  hint: transformers' own load with its from_pretrained"
        raise ZooError(message)
    return decode(Card, record.get("card"), str(path))


def _record(card: Card) -> dict[str, Any]:
    values = {key: value for key, value in dataclasses.asdict(card).items() if value not in ("", None, (), {})}
    values["weights"] = {"file": WEIGHTS, "format": "safetensors"}
    values["ignored"] = card.ignored
    values.pop("owner", None)
    return {"format": FORMAT, "card": values}


def _builders(value: Any) -> set[str]:
    """Every import path in a card's builder and arguments."""
    if isinstance(value, Card):
        return {value.builder} | _builders(value.kwargs)
    if isinstance(value, list | tuple):
        return set().union(*map(_builders, value))
    if not isinstance(value, dict):
        return set()
    own = {str(value["builder"])} if value.keys() == {"builder", "kwargs"} else set()
    return own.union(*map(_builders, value.values()))


def _refuse_strangers(folder: Path, card: Card) -> None:
    known: set[str] = set().union(*map(_builders, registry().cards.values()))
    for path in sorted(_builders(card) - known):
        message = (
            f"{folder / CONFIG} wants '{path}' to be called, which no card of the zoo names"
            "\n  hint: give the function yourself: from_pretrained(…, builder=…)"
        )
        raise ZooError(message)
