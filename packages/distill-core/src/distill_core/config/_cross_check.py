"""Checks of parts of a file against each other, without importing anything that the file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Problem, did_you_mean
from ..lengths import SHARE_HINT, length_problem
from ._document import Document
from ._hints import foreign_hint, misfits
from ._nodes import is_untagged, join, pairs, scalar_value, string, walk
from ._problems import RefusedError
from ._schema import Decoder
from ._signatures import Signature, of_definition, of_method
from ._sources import Definition
from ._spellings import imported
from ._tags import Pair, Tagged
from ._targets import locate

_EVALUATE = "distill_core.train.Evaluate"
_METRIC = {
    "distill_core.train.Checkpoint": "best",
    "distill_core.train.EarlyStopping": "metric",
    "distill_core.train.ReduceLROnPlateau": "metric",
}
"""Callback → its parameter that names a metric."""
_METHODS = {"loss": "forward", "metric": "update"}
"""Key of an object beside `inputs` → its method that gets them by name."""


def cross_check(document: Document, trust: Sequence[str]) -> Iterator[Problem]:
    """Yield unknown options of groups, impossible lengths of schedulers, and wrong names of inputs and metrics."""
    top = {name: value for name, (_, value) in pairs(document.root).items()}
    for index, stage in enumerate(_items(top.get("stages"))):
        if is_untagged(stage) and "scheduler" in pairs(stage):
            yield from _lengths(document, pairs(stage)["scheduler"][1], f"stages.{index}.scheduler")
    yield from _group_options(document, _items(top.get("stages")), trust, registering="imports" in top)
    yield from _best(document, _items(top.get("callbacks")))
    yield from _wired_names(document, trust, registering="imports" in top)


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
    found = _definition(optimizer, trust, registering=registering)
    signature = of_definition(found) if found else None
    return None if signature is None or signature.var_named else signature


def _definition(tagged: Tagged, trust: Sequence[str], *, registering: bool) -> Definition | None:
    """Return the source of what a node imports; None if it is not known, or refused, which another check reports."""
    try:
        return locate(tagged.path, trust, registering=registering)
    except RefusedError:
        return None


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


@dataclass(frozen=True)
class _Callees:
    """The losses, metrics and models of a document, which get their inputs by name."""

    document: Document
    trust: Sequence[str]
    registering: bool

    def mismatches(self, callee: Tagged | None, method: str, at: Node, inputs: Node, key: str) -> Iterator[Problem]:
        """Yield the problems of the inputs of one callable."""
        if callee is None or not is_untagged(inputs):
            return
        found = _definition(callee, self.trust, registering=self.registering)
        signature = _unbound(callee, method, found) if found else None
        if found is None or signature is None:
            return
        called = f"{found.name}.{method}" if callee.tag == "import_call" else found.name
        for node, problem in signature.mismatches(called, at, (), pairs(inputs), partial=False):
            yield self.document.located(problem, node, key)


def _wired_names(document: Document, trust: Sequence[str], *, registering: bool) -> Iterator[Problem]:
    """Yield the inputs that a callable does not have, and the required ones that it does not get.

    Those of code that the sources do not show are found when the run begins.
    """
    callees = _Callees(document, trust, registering)
    models = pairs(pairs(document.root)["models"][1]) if "models" in pairs(document.root) else {}
    for key, node in walk(document.root):
        found = pairs(node)
        for name, method in _METHODS.items():
            if name in found and "inputs" in found and is_untagged(node):
                callee, (at, inputs) = imported(found[name][1]), found["inputs"]
                yield from callees.mismatches(callee, method, at, inputs, join(key, "inputs"))
        for model, (at, inputs) in pairs(found["feed"][1]).items() if "feed" in found else ():
            callee, where = imported(models[model][1]) if model in models else None, join(join(key, "feed"), model)
            yield from callees.mismatches(callee, "forward", at, inputs, where)


def _unbound(callee: Tagged, method: str, found: Definition) -> Signature | None:
    """Return what remains to be passed to a callable of a file: an object's method, a function or a partial of one."""
    if callee.tag == "import_call":
        return of_method(found, method)
    if callee.tag not in ("import_get", "import_partial") or method != "forward" or "." in found.name:
        return None
    signature = of_definition(found) if not found.is_class else None
    return _bound(signature, len(callee.args), callee.kwargs) if signature else None


def _bound(signature: Signature, num_args: int, names: Mapping[str, object]) -> Signature:
    """Return a signature without its first parameters; the named ones are no longer required."""
    left = signature.parameters[num_args:]
    return replace(
        signature, parameters=tuple(replace(item, required=item.required and item.name not in names) for item in left)
    )


def _items(node: Node | None) -> list[Node]:
    return list(node.value) if isinstance(node, SequenceNode) and is_untagged(node) else []
