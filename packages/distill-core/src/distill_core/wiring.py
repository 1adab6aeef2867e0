"""Wiring: which tensor each parameter of a loss, a metric or a model receives.

`{"student": "student.layer1", "teacher": "teacher.layer1:in"}` is parsed once and checked against the callee's
signature. In a step, it is only a lookup.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from .adapters import adapt, with_known_layout
from .errors import WiringError, did_you_mean, nearest
from .feature import Feature
from .hooks import unwrap
from .taps import BATCH, Tap, take

_METRIC = ("reset", "update", "compute")


class Wiring:
    """The inputs of one callee: the name of a parameter → a tap, or a tuple of taps for a list of values.

    Args:
        inputs: The name of a parameter → an address, or a list of addresses. A `Feature` converts the layout.
        where: The key of the callee, `losses.kd`, for messages.

    Attributes:
        inputs: The name of a parameter → a `Tap`, or a tuple of them.
        taps: All taps, each once, in order.
        features: The parameters with a `Feature` → it, or for a list a tuple with None where there is none.
        limits: Tap → number of entries to keep of its last dimension.

    Raises:
        WiringError: If an address is malformed.

    >>> wiring = Wiring({"student": "student", "target": "batch.target"}, "losses.ce")
    >>> [str(tap) for tap in wiring.taps]
    ['student', 'batch.target']
    >>> wiring.kwargs({Tap("student"): 0.5, Tap.parse("batch.target"): 1})
    {'student': 0.5, 'target': 1}
    """

    def __init__(self, inputs: Mapping[str, str | Feature | Sequence[str | Feature]], where: str) -> None:
        self.where = where
        self.inputs = {name: _parse(name, addresses, where) for name, addresses in inputs.items()}
        self.features = {name: found for name, given in inputs.items() if (found := _features(given))}
        self.limits: dict[Tap, int] = {}
        several = [taps if isinstance(taps, tuple) else (taps,) for taps in self.inputs.values()]
        self.taps = tuple(dict.fromkeys(tap for taps in several for tap in taps))

    def kwargs(self, values: Mapping[Tap, Any]) -> dict[str, Any]:
        """Return the arguments of the callee.

        Args:
            values: The values of all `taps`, including those of the batch (`read_batch`).

        Raises:
            WiringError: If a value is missing.
        """
        try:
            arguments = {
                name: [values[tap] for tap in taps] if isinstance(taps, tuple) else values[taps]
                for name, taps in self.inputs.items()
            }
        except KeyError as error:
            message = f"there is no value for '{error.args[0]}'"
            raise WiringError(message, key=self.where) from None
        return self.adapted(arguments)

    def adapted(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments cut to their limits, and with the values of each `Feature` converted.

        Raises:
            WiringError: A value does not have the layout that its `Feature` states.
        """
        for name, taps in self.inputs.items() if self.limits else ():
            if isinstance(taps, tuple):
                arguments[name] = [self._cut(tap, each) for tap, each in zip(taps, arguments[name], strict=True)]
            else:
                arguments[name] = self._cut(taps, arguments[name])
        for name, features in self.features.items():
            value = arguments[name]
            try:
                if isinstance(features, Feature):
                    arguments[name] = adapt(value, features)
                else:
                    pairs = zip(value, features, strict=True)
                    arguments[name] = [each if feature is None else adapt(each, feature) for each, feature in pairs]
            except WiringError as error:
                raise WiringError(error.message, key=f"{self.where}.inputs.{name}", hint=error.hint) from error
        return arguments

    def _cut(self, tap: Tap, value: Any) -> Any:
        return value[..., : self.limits[tap]] if tap in self.limits else value

    def complete_features(self, models: Mapping[str, nn.Module]) -> None:
        """Complete each `Feature` with the layout of its model, if the model is of a known family."""

        def completed(feature: Feature) -> Feature:
            model = models.get(Tap.parse(feature.tap).source)
            return feature if model is None else with_known_layout(feature, model)

        for name, features in self.features.items():
            if isinstance(features, Feature):
                self.features[name] = completed(features)
            else:
                self.features[name] = tuple(feature and completed(feature) for feature in features)

    def check_sources(self, models: Iterable[str]) -> None:
        """Check that every tap belongs to the batch or to one of `models`.

        Raises:
            WiringError: If one does not; the hint has the nearest name.
        """
        models = list(models)
        for tap in self.taps:
            if tap.source not in models and tap.source != BATCH:
                message = f"'{tap}' names no model {tap.source!r}"
                raise WiringError(message, key=self.where, hint=did_you_mean(tap.source, [*models, BATCH]))

    def __repr__(self) -> str:
        return f"Wiring({self.inputs!r}, {self.where!r})"


def model_taps(wirings: Iterable[Wiring]) -> dict[str, tuple[Tap, ...]]:
    """Return the taps of several wirings by model, each once, without those of the batch.

    >>> wirings = [Wiring({"x": "student", "y": "batch.target"}, "a"), Wiring({"x": ["student", "student.fc:in"]}, "b")]
    >>> {model: [tap.address for tap in taps] for model, taps in model_taps(wirings).items()}
    {'student': ['', 'fc:in']}
    """
    grouped: dict[str, dict[Tap, None]] = {}
    for wiring in wirings:
        for tap in wiring.taps:
            if tap.source != BATCH:
                grouped.setdefault(tap.source, {})[tap] = None
    return {source: tuple(taps) for source, taps in grouped.items()}


def read_batch(batch: Mapping[str, Any], tap: Tap) -> Any:
    """Return the value of a `batch` tap.

    Args:
        batch: The fields of a batch by name.
        tap: `batch`, `batch.target`, `batch.target.boxes`.

    Raises:
        WiringError: If the batch has no such field; the message lists the existing ones.

    >>> read_batch({"input": 1, "target": {"boxes": 2}}, Tap.parse("batch.target.boxes"))
    2
    """
    if not tap.fields:
        return batch
    field, *rest = tap.fields
    if field not in batch:
        names = ", ".join(repr(name) for name in batch)
        close = nearest(str(field), map(str, batch))
        hint = f"did you mean '{close}'?" if close else ""
        message = f"'{tap}': the batch has no field {field!r}, it has {names}"
        raise WiringError(message, hint=hint)
    return take(batch[field], rest, f"'{tap}'") if rest else batch[field]  # type: ignore[index]


def check_signature(callee: Any, names: Iterable[str], where: str) -> None:
    """Check that `callee` can be called with keyword arguments of these names.

    A module is called through `forward`, and a metric (it has `reset`, `update` and `compute`) through `update`. A callable
    without a known signature passes.

    Args:
        callee: A loss, a model, a metric, or any callable.
        names: The names of the arguments.
        where: The key of the callee, `losses.kd`, for messages.

    Raises:
        WiringError: If a name is unknown or a required parameter is missing.

    >>> check_signature(nn.CrossEntropyLoss(), ["input", "target"], "losses.ce")
    >>> check_signature(nn.CrossEntropyLoss(), ["input"], "losses.ce")
    Traceback (most recent call last):
    ...
    distill_core.errors.WiringError: losses.ce: CrossEntropyLoss.forward(input, target): missing a required argument: 'target'; 'inputs' names ['input']
    """
    function, label = _function_of(callee, where)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin
        return
    names = list(names)
    parameters = signature.parameters.values()
    shown = f"{label}{_without_annotations(signature)}"
    known = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in names:
        if name not in known and not takes_any:
            hint = did_you_mean(name, [other for other in known if other not in names])
            message = f"{shown} has no parameter {name!r}"
            raise WiringError(message, key=where, hint=hint)
    for parameter in parameters:
        is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not is_variadic and parameter.name not in names:
            message = f"{shown}: missing a required argument: {parameter.name!r}; 'inputs' names {names}"
            raise WiringError(message, key=where)
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.name in names:
            message = f"{shown}: {parameter.name!r} cannot be passed by name"
            raise WiringError(message, key=where)


def address_of(entry: str | Feature) -> str:
    """Return the address of a tap, or of the tap of a `Feature`."""
    return entry.tap if isinstance(entry, Feature) else entry


def _features(given: str | Feature | Sequence[str | Feature]) -> Feature | tuple[Feature | None, ...] | None:
    """Return the features among the values of a parameter; None if there are none."""
    if isinstance(given, Feature):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence):
        return None
    found = tuple(entry if isinstance(entry, Feature) else None for entry in given)
    return found if any(found) else None


def _parse(name: str, addresses: str | Feature | Sequence[str | Feature], where: str) -> Tap | tuple[Tap, ...]:
    try:
        if isinstance(addresses, str | Feature) or not isinstance(addresses, Sequence):
            return Tap.parse(address_of(addresses))
        taps = tuple(Tap.parse(address_of(address)) for address in addresses)
    except WiringError as error:
        raise WiringError(error.message, key=where, hint=error.hint) from None
    if not taps:
        message = f"the list of taps of {name!r} is empty"
        raise WiringError(message, key=where)
    return taps


def _function_of(callee: Any, where: str) -> tuple[Callable[..., Any], str]:
    """Return the function that is called, and its name."""
    if isinstance(callee, nn.Module):
        callee = unwrap(callee)
    kind = type(callee).__name__
    if not isinstance(callee, type) and all(callable(getattr(callee, name, None)) for name in _METRIC):
        return callee.update, f"{kind}.update"
    if isinstance(callee, nn.Module):
        return callee.forward, f"{kind}.forward"
    if not callable(callee):
        message = f"{kind} cannot be called"
        raise WiringError(message, key=where)
    function = getattr(callee, "func", callee)  # of a functools.partial
    return callee, getattr(function, "__qualname__", type(function).__name__)


def _without_annotations(signature: inspect.Signature) -> inspect.Signature:
    empty = inspect.Parameter.empty
    parameters = [parameter.replace(annotation=empty) for parameter in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
