"""What the stages of a recipe say, read from its file without building anything."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distill_core import losses
from distill_core.cli._load import load_document

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@dataclass(frozen=True)
class Stage:
    """Settings of a stage, with the weights of its terms by the class of the loss."""

    epochs: int
    batch: int | None
    optimizer: str
    lr: float
    decay: float
    milestones: tuple[int, ...]
    terms: dict[str, list[float]]
    arguments: dict[str, dict[str, Any]]
    accumulate: int = 1

    def argument_values(self, loss: str, names: Iterable[str]) -> dict[str, Any]:
        """Return the arguments of these names, given or by default."""
        given, declared = self.arguments[loss], inspect.signature(getattr(losses, loss)).parameters
        return {name: given.get(name, declared[name].default) for name in names}


def load(file: Path) -> Any:
    """Read a recipe with its base."""
    return read(load_document(file).root)


def read(node: yaml.Node) -> Any:
    """Convert a document to plain values: a call becomes (name, arguments)."""
    if isinstance(node, yaml.MappingNode):
        value: Any = {read(key): read(part) for key, part in node.value}
    elif isinstance(node, yaml.SequenceNode):
        value = [read(part) for part in node.value]
    else:
        value = node.value if node.style in ("'", '"') else yaml.safe_load(node.value)
    return (node.tag.rpartition(".")[2], value) if node.tag.startswith("!") else value


def peak(weight: Any) -> float:
    """Return a weight; of a schedule, the value that it rises to or falls from."""
    if isinstance(weight, tuple):
        fields = weight[1]
        weight = fields.get("value") or max(fields["start"], fields["end"])
    return float(weight)


def stages(document: Any) -> list[Stage]:
    """Return the stages of a recipe."""
    batch = document["data"]["train"][1]["batch_size"]
    found = []
    for stage in document["stages"]:
        name, optimizer = stage["optimizer"]
        scheduler = (stage.get("scheduler") or ("", {}))[1]
        terms: dict[str, list[float]] = {}
        given: dict[str, dict[str, Any]] = {}
        for term in filter(None, stage["losses"].values()):
            loss = term["loss"][0]
            terms.setdefault(loss, []).append(peak(term.get("weight", 1.0)))
            given[loss] = term["loss"][1] or {}
        settings = (stage["epochs"], stage["data"][1]["batch_size"] if stage.get("data") else batch, name)
        rates = (float(optimizer["lr"]), float(optimizer.get("weight_decay", 0.0)))
        found.append(
            Stage(*settings, *rates, tuple(scheduler.get("milestones", ())), terms, given, stage.get("accumulate", 1))
        )
    return found
