"""Card of a finished run: weights, metrics, recipe and log."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ._atomic import atomic_path
from ._card import Card
from ._cards import forget
from ._checkpoint import read_state_dict
from ._errors import ZooError
from ._parse_cards import read_cards
from ._recipe import student_of
from ._safetensors import write_safetensors
from ._settings import home

RESOLVED, RESULTS, LOG, ENVIRONMENT = "config.resolved.yaml", "results.json", "log.txt", "environment.json"
KEPT = {RESOLVED: "recipe.yaml", RESULTS: RESULTS, LOG: LOG}
WEIGHTS = "model.safetensors"


def add_run(
    run: str | os.PathLike[str],
    name: str,
    *,
    model: str = "student",
    license: str = "",  # noqa: A002 - the name of the field on the card
    teacher: str = "",
    paper: str = "",
    recipe: str = "",
    tolerance: float | None = None,
    into: str | os.PathLike[str] | None = None,
) -> Card:
    """Create a card for a finished run and copy its weights, metrics, recipe and log next to the card.

    Args:
        run: The run's folder.
        name: `dataset/model` or `dataset/model.tag`. A card of that name in the same folder is replaced.
        model: The name of the model in the run.
        license: The license of the weights. Optional if the card file sets one for all its cards.
        teacher: The teacher's name, preferably the name of a card.
        paper: URL of the paper that describes the method.
        recipe: Path or URL of the experiment's YAML file.
        tolerance: Largest accepted difference between the metrics and those of a repeated run.
        into: The folder of the card file. Defaults to `cards` in `DISTILL_HOME`, whose cards are always loaded.

    Raises:
        ZooError: `run` is not the folder of a finished run, or a required field of the card is missing.
    """
    folder, target = Path(run), Path(into) if into is not None else home() / "cards"
    results = _read_results(folder)
    builder, kwargs = student_of(folder / RESOLVED, model)
    weights = read_state_dict(name, _existing(folder / f"{model}.safetensors"))
    dataset, tagged = name.partition("/")[0], name.partition("/")[2]
    kept = f"{dataset}/{tagged}"
    entry: dict[str, Any] = {"builder": builder, "kwargs": kwargs, "weights": {"file": f"{kept}/{WEIGHTS}"}}
    entry["metrics"] = _metrics(results, tolerance)
    entry["trained_by"] = {"recipe": recipe or _recipe_of(folder), **_origin(folder, results), "folder": kept}
    entry |= {key: value for key, value in {"teacher": teacher, "license": license, "paper": paper}.items() if value}
    file = target / f"{dataset}.yaml"
    head, document = _family(file, dataset)
    document["models"] = {**document["models"], name: entry}
    target.joinpath(kept).mkdir(parents=True, exist_ok=True)
    write_safetensors(weights, target / kept / WEIGHTS)
    data = (target / kept / WEIGHTS).read_bytes()
    entry["weights"] |= {"format": "safetensors", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    text = head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    card = read_cards(text, file.name, f"this machine ({target})")[name]
    for source, copy in KEPT.items():
        if (folder / source).is_file():
            shutil.copyfile(folder / source, target / kept / copy)
    with atomic_path(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    forget()
    return card


def _existing(path: Path) -> Path:
    if not path.is_file():
        message = f"{path.parent} is not the folder of a finished run: {path.name} is missing"
        raise ZooError(message)
    return path


def _read_results(folder: Path) -> dict[str, Any]:
    try:
        results: dict[str, Any] = json.loads(_existing(folder / RESULTS).read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{folder / RESULTS} cannot be read: {error}"
        raise ZooError(message) from error
    return results


def _metrics(results: Mapping[str, Any], tolerance: float | None) -> list[dict[str, Any]]:
    """Return the metrics of the selected weights on each split."""
    row = results.get("best") or results.get("last") or {}
    selection = results.get("selection") or {}
    percent = results.get("percent") or ()  # cards quote fractions in percent, as papers do
    chosen = "last epoch"
    if results.get("best") and selection:
        which = "highest" if selection.get("mode") == "max" else "lowest"
        chosen = f"epoch with the {which} {selection['metric']} on {selection.get('split', 'val')}"
    metrics = [
        {
            "name": name,
            "value": round(float(value) * (100 if name in percent else 1), 4),
            "split": split,
            "chosen": chosen,
            "seeds": [results.get("seed", 0)],
        }
        for split, values in sorted(row.items())
        if isinstance(values, Mapping)
        for name, value in values.items()
    ]
    return [{**each, "tolerance": tolerance} for each in metrics] if tolerance is not None else metrics


def _origin(folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / ENVIRONMENT
    git = (json.loads(path.read_text(encoding="utf-8")).get("git") or {}) if path.is_file() else {}
    commit = git.get("commit", "") + (" with changes" if git.get("dirty") else "")
    return {"commit": commit, "seed": results.get("seed", 0)}


def _recipe_of(folder: Path) -> str:
    """Return the name of the YAML file in the run's command."""
    path = folder / "command.txt"
    match = re.search(r"\S+\.ya?ml", path.read_text(encoding="utf-8")) if path.is_file() else None
    return Path(match[0]).name if match else ""


def _family(file: Path, dataset: str) -> tuple[str, dict[str, Any]]:
    """Return the leading comment and the content of a card file, empty ones if the file does not exist."""
    if not file.is_file():
        return "", {"shared": {"dataset": dataset}, "models": {}}
    text = file.read_text(encoding="utf-8")
    read_cards(text, file.name)
    head = "".join(text.splitlines(keepends=True)[: _num_comment_lines(text)])
    document = yaml.safe_load(text)
    return head, {**document, "models": document.get("models") or {}}


def _num_comment_lines(text: str) -> int:
    lines = text.splitlines()
    return next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
