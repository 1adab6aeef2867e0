"""Checks of parts of a file against each other, without importing anything that the file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Problem, did_you_mean
from ..lengths import SHARE_HINT, length_problem
from ._document import Document
from ._hints import foreign_hint, misfits
from ._nodes import is_untagged, join, pairs, scalar_value, string
from ._problems import RefusedError
from ._schema import Decoder
from ._signatures import Signature, of_definition
from ._spellings import imported
from ._tags import Pair, Tagged
from ._taps import wired_names
from ._targets import locate

_EVALUATE = "distill_core.train.Evaluate"
_METRIC = {
    "distill_core.train.Checkpoint": "best",
    "distill_core.train.EarlyStopping": "metric",
    "distill_core.train.ReduceLROnPlateau": "metric",
}
"""Callback → its parameter that names a metric."""


def cross_check(document: Document, trust: Sequence[str]) -> Iterator[Problem]:
    """Yield unknown options of groups, impossible lengths of schedulers, and wrong names of inputs and metrics."""
    top = {name: value for name, (_, value) in pairs(document.root).items()}
    for index, stage in enumerate(_items(top.get("stages"))):
        if is_untagged(stage) and "scheduler" in pairs(stage):
            yield from _lengths(document, pairs(stage)["scheduler"][1], f"stages.{index}.scheduler")
    yield from _group_options(document, _items(top.get("stages")), trust, registering="imports" in top)
    yield from _best(document, _items(top.get("callbacks")))
    yield from wired_names(document, trust, registering="imports" in top)


def _group_options(
    document: Document, stages: Sequence[Node], trust: Sequence[str], *, registering: bool
) -> Iterator[Problem]:
    optimizer: Tagged | None = None
    for index, stage in enumerate(stages):
        given = {name: value for name, (_, value) in pairs(stage).items()}
        if "optimizer" in given or not is_untagged(stage):
            optimizer = imported(given.get("optimizer"))
        if optimizer is None or "groups" not in given:
            continue
        signature = _signature(optimizer, trust, registering=registering)
        for glob, (_, options) in pairs(given["groups"]).items() if signature else ():
            key = join(f"stages.{index}.groups", glob)
            yield from _of_group(document, pairs(options), optimizer.path, signature or Signature(), key)


def _of_group(
    document: Document, options: Mapping[str, Pair], optimizer: str, signature: Signature, key: str
) -> Iterator[Problem]:
    """Yield the options of a group that an optimizer does not have, or whose values do not fit."""
    known = [parameter.name for parameter in signature.parameters[1:] if parameter.named]
    decoder = Decoder(document)
    for name, (node, value) in options.items():
        if name not in known:
            message = f"the optimizer {optimizer} has no option '{name}'"
            yield document.located(
                Problem(message, hint=did_you_mean(name, known), id="unknown-group-option"), node, key
            )
            continue
        for wrong, hint, where in misfits(
            value, foreign_hint(optimizer, signature.annotation(name), name), join(key, name)
        ):
            decoder.decode(wrong, hint, where)
    yield from decoder.problems


def _signature(optimizer: Tagged, trust: Sequence[str], *, registering: bool) -> Signature | None:
    """Return the signature of an optimizer; None if its source does not show all its options."""
    try:
        found = locate(optimizer.path, trust, registering=registering)
    except RefusedError:
        return None
    signature = of_definition(found) if found else None
    return None if signature is None or signature.var_named else signature


def _lengths(document: Document, node: Node, key: str) -> Iterator[Problem]:
    """Yield the impossible counts and shares of a scheduler, and of the schedulers in it."""
    scheduler = imported(node)
    for name, (_, value) in scheduler.kwargs.items() if scheduler else ():
        for item in _items(value) or [value]:
            if isinstance(item, ScalarNode) and is_untagged(item):
                if message := length_problem(name, scalar_value(item)):
                    problem = Problem(message, hint=SHARE_HINT, id="schedule-length")
                    yield document.located(problem, item, f"{key}.{name}")
            else:
                yield from _lengths(document, item, f"{key}.{name}")


def _best(document: Document, callbacks: Sequence[Node]) -> Iterator[Problem]:
    measured: dict[str, set[str]] = {}
    for index, node in enumerate(callbacks):
        callback = imported(node)
        if callback is None or callback.path not in (_EVALUATE, *_METRIC):
            return  # it may measure anything, and so may later ones
        given = {name: value for name, (_, value) in callback.kwargs.items()}
        parameter = _METRIC.get(callback.path, "")
        split = string(given["split"]) if "split" in given else "val"
        if callback.args or split is None:
            return
        if callback.path == _EVALUATE:
            metrics = given.get("metrics")
            if not isinstance(metrics, MappingNode) or not is_untagged(metrics):
                return
            measured.setdefault(split, set()).update(pairs(metrics))
        elif (best := string(given[parameter]) if parameter in given else None) and not _measures(
            measured.get(split, ()), best
        ):
            hint = did_you_mean(best, measured.get(split, ())) or "list an Evaluate with that metric before it"
            kind = callback.path.rpartition(".")[2]
            message = f"no Evaluate before this {kind} measures '{best}' on '{split}'"
            problem = Problem(message, hint=hint, id="best-not-measured")
            yield document.located(problem, given[parameter], f"callbacks.{index}.{parameter}")


def _measures(metrics: Sequence[str] | set[str] | tuple[()], best: str) -> bool:
    """Return whether one of the metrics may report this value: `top5`, or `accuracy.top5` of `accuracy`."""
    return any(best == name or best.startswith(f"{name}.") for name in metrics)


def _items(node: Node | None) -> list[Node]:
    return list(node.value) if isinstance(node, SequenceNode) and is_untagged(node) else []
