"""The settings of a sweep, ranked by the mean over seeds of a metric on the validation split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import did_you_mean
from ...report import mean_and_deviation
from .._exit import refuse
from .._run_files import RESULTS
from ._grid import SEED

_UNRANKED = "no metric ranks the runs", "add --metric NAME, or a Checkpoint with `best` to the experiment"


@dataclass(frozen=True)
class Score:
    """The metric of a finished run."""

    metric: str
    value: float
    percent: bool
    higher_is_better: bool


def ranked(points: Mapping[Path, Mapping[str, str]], metric: str = "") -> list[dict[str, Any]]:
    """Return a record for each setting with a finished run, best first.

    Runs that differ only in the seed are one setting, whose value is their mean. A setting of which runs are missing comes
    after the complete ones: fewer runs may be luckier ones. Numbers that are not finite are None.

    Args:
        points: Folder of a run → its values.
        metric: The metric; by default the one that selects the checkpoint.

    Raises:
        ConfigError: No metric ranks the runs, or the validation split lacks it.
    """
    settings: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for path, point in points.items():
        settings.setdefault(tuple((key, value) for key, value in point.items() if key != SEED), []).append(path)
    scores = {path: score_of(path, metric) for path in points if (path / RESULTS).is_file()}
    sign = -1 if any(score.higher_is_better for score in scores.values()) else 1
    found = []
    for setting, paths in settings.items():
        if finished := [path for path in paths if path in scores]:
            record = _record(dict(setting), {path.name: scores[path] for path in finished})
            value = math.inf if record["value"] is None else sign * record["value"]
            found.append((len(finished) < len(paths), value, record))
    return [record for _, _, record in sorted(found, key=lambda each: each[:2])]


def _record(values: dict[str, str], scores: Mapping[str, Score]) -> dict[str, Any]:
    mean, deviation = mean_and_deviation([score.value for score in scores.values()])
    first = next(iter(scores.values()))
    return {
        "values": values,
        "metric": first.metric,
        "percent": first.percent,
        "value": _finite(mean),
        "deviation": _finite(deviation),
        "measured": [_finite(score.value) for score in scores.values()],
        "folders": list(scores),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def refuse_unranked(values: Mapping[str, Any], metric: str = "") -> None:
    """Refuse an experiment whose runs could not be ranked, before any of them is trained.

    Args:
        values: The values of the experiment by key.
        metric: The metric; by default the one that selects the checkpoint.

    Raises:
        ConfigError: No callback selects by a metric, or none measures this one.
    """
    callbacks = [(key.split("."), value) for key, value in values.items() if key.startswith("callbacks.")]
    if not metric:
        if not any(len(key) == 3 and key[2] == "best" and value for key, value in callbacks):
            refuse(*_UNRANKED)
        return
    names = {key[3] for key, _ in callbacks if len(key) > 3 and key[2] == "metrics"}
    tags = [str(value) for key, value in callbacks if len(key) == 2]
    is_known = all(tag.startswith("!import_call:distill_") for tag in tags)  # another callback may measure anything
    if is_known and metric.partition(".")[0] not in names:
        refuse(f"no callback measures '{metric}'", did_you_mean(metric, names))


def score_of(path: Path, metric: str = "") -> Score:
    """Return the metric of a finished run.

    Args:
        path: Folder of the run.
        metric: The metric; by default the one that selects the checkpoint.

    Raises:
        ConfigError: No metric ranks the run, or the validation split lacks it.
    """
    from ...records import read_record

    results = read_record(path / RESULTS)
    selection = results.get("selection") or {}
    name = metric or str(selection.get("metric") or "")
    if not name:
        refuse(*_UNRANKED)
    split = str(selection.get("split") or "val")
    metrics = (results.get("best") or results["last"]).get(split) or {}
    if name not in metrics:
        refuse(f"{path / RESULTS}: there is no metric '{name}' on {split}", did_you_mean(name, metrics))
    higher_is_better = name != selection.get("metric") or selection.get("mode", "max") == "max"
    value = math.nan if metrics[name] is None else float(metrics[name])
    return Score(f"{split} {name}", value, name in results.get("percent", ()), higher_is_better)
