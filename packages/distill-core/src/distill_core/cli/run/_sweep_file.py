"""The space of a sweep: an experiment and the values to try for its keys, from a file and the command line.

    experiment: kd_student_from_teacher.yaml       # beside this file
    metric: accuracy                               # of the validation split; by default the one that selects the checkpoint
    grid:
      seed: [0, 1, 2]
      stages.0.losses.kd.loss.temperature: [1.0, 4.0]
    ranges:                                        # of random and TPE search
      stages.0.optimizer.lr: {low: 1.0e-5, high: 1.0e-3, log: true}

On the command line, `key=a,b,c` lists values of a key; `+key=…` and `~key` apply to all runs. The file may also be an
experiment. Nothing that a file names is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from yaml import MappingNode, Node, SequenceNode

from ...config import Document, is_untagged, pairs, read, scalar_value
from ...errors import ConfigError, Problem, did_you_mean
from .._exit import refuse
from ._grid import Sweep
from ._search_range import SearchRange, range_problem

KEYS = ("experiment", "metric", "grid", "ranges")
RANGE_HINT = "write {low: 1.0e-5, high: 1.0e-3, log: true}"


def read_sweep(file: Path, changes: Sequence[str]) -> Sweep:
    """Read a sweep from a file and the command line.

    Args:
        file: A sweep or an experiment.
        changes: Overrides from the command line; they replace keys of the file.

    Raises:
        ConfigError: The file has problems, or no key has several values.
    """
    document = read(file)
    entries = {str(key.value): value for key, value in document.root.value}
    sweep = _from_file(document, entries) if "experiment" in entries else Sweep(file)
    for change in changes:
        key, equals, text = change.partition("=")
        if change.startswith(("+", "~")) or not equals:
            sweep.constant.append(change)
        else:
            sweep.grid[key] = split_values(text)
    sweep.constant += [f"{key}={values[0]}" for key, values in sweep.grid.items() if len(values) == 1]
    sweep.grid = {key: values for key, values in sweep.grid.items() if len(values) > 1}
    if both := sorted(set(sweep.ranges) & {*sweep.grid, *(change.partition("=")[0] for change in sweep.constant)}):
        refuse(f"'{both[0]}' has a range and a list of values", "remove one of them")
    if not sweep.grid and not sweep.ranges:
        refuse(
            f"{file}: no key has several values to try",
            "list them on the command line, stages.0.optimizer.lr=0.1,0.2, or name `experiment` and `grid` in a file",
        )
    return sweep


def split_values(text: str) -> list[str]:
    """Return the values of `a,b,c` as written; a list or a mapping is one value.

    >>> split_values("1.0e-5, [1, 2], {a: 1, b: 2}")
    ['1.0e-5', '[1, 2]', '{a: 1, b: 2}']

    Raises:
        ConfigError: The text is not valid YAML.
    """
    listed = f"[{text}]"
    try:
        node = yaml.compose(listed, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        refuse(f"'{text}' is not a list of values: {getattr(error, 'problem', error)}", "write key=a,b,c")
    values = node.value if isinstance(node, SequenceNode) else []
    return [listed[value.start_mark.index : value.end_mark.index] for value in values] or [""]


def _from_file(document: Document, entries: dict[str, Node]) -> Sweep:
    problems = [
        document.located(Problem(f"a sweep has no key '{key}'", hint=did_you_mean(key, KEYS)), node, key)
        for key, node in entries.items()
        if key not in KEYS
    ]
    texts = {key: entries[key] for key in ("experiment", "metric") if key in entries}
    problems += [
        document.located(Problem(f"'{key}' must be a string"), node, key)
        for key, node in texts.items()
        if not _is_text(node)
    ]
    grid: dict[str, list[str]] = {}
    mapping = entries.get("grid")
    if mapping is not None and not isinstance(mapping, MappingNode):
        problem = Problem("'grid' must map keys of the experiment to lists of values")
        problems.append(document.located(problem, mapping, "grid"))
    for key, values in mapping.value if isinstance(mapping, MappingNode) else []:
        if isinstance(values, SequenceNode) and values.value:
            grid[str(key.value)] = [_written(document, value) for value in values.value]
        else:
            problem = Problem(f"'{key.value}' must be a list of values")
            problems.append(document.located(problem, values, f"grid.{key.value}"))
    ranges, wrong = _ranges(document, entries.get("ranges"))
    if problems := [*problems, *wrong]:
        raise ConfigError(problems)
    metric = str(texts["metric"].value) if "metric" in texts else ""
    return Sweep(document.path.parent / str(texts["experiment"].value), metric, grid, ranges)


def _ranges(document: Document, node: Node | None) -> tuple[dict[str, SearchRange], list[Problem]]:
    """Return the ranges of a sweep, and what is wrong with them."""
    ranges: dict[str, SearchRange] = {}
    problems = []
    if node is not None and not isinstance(node, MappingNode):
        problems.append(document.located(Problem("'ranges' must map keys of the experiment to ranges"), node, "ranges"))
    for key, (_, entry) in pairs(node).items() if isinstance(node, MappingNode) else ():
        fields = pairs(entry) if isinstance(entry, MappingNode) else {}
        given = {
            name: scalar_value(value)
            for name, (_, value) in fields.items()
            if isinstance(value, yaml.ScalarNode) and is_untagged(value)
        }
        message = range_problem(given)
        if not isinstance(entry, MappingNode) or message:
            message = message if fields else f"'{key}' must be a range"
            problems.append(document.located(Problem(message, hint=RANGE_HINT), entry, f"ranges.{key}"))
        else:
            ranges[key] = SearchRange(**given)  # type: ignore[arg-type]
    return ranges, problems


def _is_text(node: Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and bool(node.value)


def _written(document: Document, node: Node) -> str:
    """Return a value as written in its file."""
    start, end = node.start_mark, node.end_mark
    written = document.sources[start.name][start.index : end.index]
    if "\n" in written.strip():
        problem = Problem("a value of a sweep must be on one line", hint="write {key: value}")
        raise ConfigError([document.located(problem, node)])
    return written.strip()
