"""From the folder of a finished run to a card: weights, numbers, recipe, log."""

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
    license: str = "",  # noqa: A002 - what it is called on the card
    teacher: str = "",
    paper: str = "",
    recipe: str = "",
    tolerance: float | None = None,
    into: str | os.PathLike[str] | None = None,
) -> Card:
    """Make a card of a finished run, and put its weights, numbers, recipe and log beside it.

    Args:
        run: The folder of the run.
        name: `data_set/model` or `data_set/model.tag`; a card of that name in the same folder is replaced.
        model: Which of the run's models.
        license: The terms of the weights; needed unless the file of cards says it for all of them.
        teacher: What it learnt from, the name of a card where there is one.
        paper: Where the method is described.
        recipe: Where the file of the experiment is published.
        tolerance: How far a repetition may be from the numbers.
        into: The folder of cards; by default `cards` in `DISTILL_HOME`, which is read beside the cards of packages.

    Raises:
        ZooError: It is no folder of a finished run, or the card would lack something.
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
    unfinished = file.with_name(f".{os.getpid()}-{file.name}")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, file)
    forget()
    return card


def _existing(path: Path) -> Path:
    if not path.is_file():
        message = f"{path.parent} is not the folder of a finished run: it has no {path.name}"
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
    """What the chosen weights reach on each split."""
    row = results.get("best") or results.get("last") or {}
    selection = results.get("selection") or {}
    percent = results.get("percent") or ()  # cards quote fractions in percent, as papers do
    chosen = "last epoch"
    if results.get("best") and selection:
        which = "highest" if selection.get("mode") == "max" else "lowest"
        chosen = f"epoch with the {which} {selection['metric']} on {selection.get('split', 'val')}"
    found = [
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
    return [{**each, "tolerance": tolerance} for each in found] if tolerance is not None else found


def _origin(folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / ENVIRONMENT
    git = (json.loads(path.read_text(encoding="utf-8")).get("git") or {}) if path.is_file() else {}
    commit = git.get("commit", "") + (" with changes" if git.get("dirty") else "")
    return {"commit": commit, "seed": results.get("seed", 0)}


def _recipe_of(folder: Path) -> str:
    """The file that the command of the run names."""
    path = folder / "command.txt"
    found = re.search(r"\S+\.ya?ml", path.read_text(encoding="utf-8")) if path.is_file() else None
    return Path(found[0]).name if found else ""


def _family(file: Path, dataset: str) -> tuple[str, dict[str, Any]]:
    """The comment at the top of a file of cards, and what it says; a new file where there is none."""
    if not file.is_file():
        return "", {"shared": {"dataset": dataset}, "models": {}}
    text = file.read_text(encoding="utf-8")
    read_cards(text, file.name)
    head = "".join(line for line in text.splitlines(keepends=True)[: _comments(text)])
    document = yaml.safe_load(text)
    return head, {**document, "models": document.get("models") or {}}


def _comments(text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
