"""The one trainable module of a stage: the models being trained and the loss terms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..errors import WiringError
from ..experiment import Inputs, Term
from ..taps import BATCH, Tap
from ..wiring import Wiring, check_signature, read_batch
from ._shared_vocabulary import SharedVocabulary
from .teachers import ModelSource, sources_for

Batch = Mapping[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class _Call(NamedTuple):
    """The loss of a term as a step calls it, with the indices of its arguments among the values."""

    name: str
    loss: Callable[..., Any]
    arguments: Sequence[tuple[str, int]]
    is_separate: bool


class Distiller(nn.Module):
    """Runs the models on a batch, passes the tapped tensors to the losses and sums these.

    Trained models and losses are submodules: they are moved, wrapped, synchronised and saved with it. Frozen models are
    not: they run without gradients, in eval mode, and stop after their last tapped module.

    Args:
        models: All models by name, in the order in which they run.
        terms: The terms of the objective by name.
        trained: The names of the models that learn.
        feed: Model → wiring of its inputs; by default `batch.input` is the first argument.
        wrap: Replaces a model, for example with its cache.

    Attributes:
        watch: Calls the losses, given name, loss and arguments, if set; not for a compiled distiller.
        shared_vocabulary: The logits that models have in common.

    Raises:
        WiringError: A tap, a parameter or a model does not exist, or a trained model is read by no loss.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        terms: Mapping[str, Term],
        trained: Collection[str] = ("student",),
        feed: Mapping[str, Inputs] | None = None,
        wrap: Callable[[ModelSource], ModelSource] | None = None,
    ) -> None:
        super().__init__()
        self.shared_vocabulary = SharedVocabulary()
        self.watch: Callable[[str, Callable[..., Any], Mapping[str, Any]], Any] | None = None
        self.trained = nn.ModuleDict({name: model for name, model in models.items() if name in trained})
        self.losses = nn.ModuleDict(
            {name: term.loss for name, term in terms.items() if isinstance(term.loss, nn.Module)}
        )
        self.terms = dict(terms)
        self.wirings = {name: Wiring(term.inputs, f"losses.{name}") for name, term in terms.items()}
        for name, term in terms.items():
            self.wirings[name].check_sources(models)
            self.wirings[name].complete_features(models)
            check_signature(term.loss, term.inputs, f"losses.{name}")
        sources = sources_for(models, list(self.wirings.values()), trained, feed)
        self._sources = [wrap(source) for source in sources] if wrap else sources
        idle = [name for name in trained if name not in {source.name for source in self._sources}]
        if idle:
            message = f"'{idle[0]}' is trained, but no loss reads it"
            raise WiringError(message, hint="name it in the inputs of a loss, or omit it from `train`")
        self._is_fed = any(source.feed for source in self._sources)
        model_order = [tap for source in self._sources for tap in source.taps]
        wired = dict.fromkeys(tap for wiring in self.wirings.values() for tap in wiring.taps)
        self._batch_taps = [tap for tap in wired if tap.source == BATCH]
        self._order = (*model_order, *self._batch_taps)
        self._lists: list[list[int]] = []  # for each parameter that takes a list, the indices of its values
        self._calls = [
            _Call(name, term.loss, self._indices(self.wirings[name]), term.separate_gradient)
            for name, term in terms.items()
        ]
        # Terms whose arguments have another layout, or logits that are cut to a shared vocabulary.
        self._adapted = {name for name, wiring in self.wirings.items() if wiring.features}

    def _indices(self, wiring: Wiring) -> list[tuple[str, int]]:
        """Return parameters with the index of their value. Lists of values come after those of all taps."""
        arguments = []
        for parameter, taps in wiring.inputs.items():
            if isinstance(taps, tuple):
                arguments.append((parameter, len(self._order) + len(self._lists)))
                self._lists.append([self._order.index(tap) for tap in taps])
            else:
                arguments.append((parameter, self._order.index(taps)))
        return arguments

    def limit(self, common: SharedVocabulary) -> None:
        """Cut logits to those that models have in common: of frozen models at the model, of trained ones in the losses."""
        self.shared_vocabulary = common
        for source in self._sources:
            if source.frozen:
                source.limits.update(common.limits.get(source.name, {}))
        for name in common.terms:
            wiring = self.wirings[name]
            for tap in wiring.taps:
                limits = common.limits.get(tap.source, {}) if tap.source in self.trained else {}
                if tap.address in limits:
                    wiring.limits[tap] = limits[tap.address]
                    self._adapted.add(name)

    def set_stop(self, wanted: bool | None) -> None:
        """Set whether forwards end after the last tapped module; see `Stage.stop_early`."""
        for source in self._sources:
            source.set_stop(wanted)

    def attach(self) -> None:
        """Place the hooks, before the module is wrapped or compiled."""
        for source in self._sources:
            source.attach()

    def detach(self) -> None:
        """Remove the hooks."""
        for source in self._sources:
            source.detach()

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """The models that run, in order."""
        return tuple(self._sources)

    def tapped(self, batch: Batch) -> dict[Tap, Any]:
        """Run the models that are needed and return the value of every tap."""
        return dict(zip(self._order, self._values(batch, NOTHING), strict=True))

    def before(self, batch: Batch, names: Collection[str]) -> dict[str, list[Any]]:
        """Run frozen models before a step and return the values of their taps, for `forward`.

        Args:
            batch: Fields by name.
            names: The models, with those that feed them.
        """
        values: dict[Tap, Any] = {}
        found = {}
        for source in self._sources:
            if source.name in names:
                found[source.name] = list(source.run(batch, values))
                values.update(zip(source.taps, found[source.name], strict=True))
        return found

    def _values(self, batch: Batch, given: Mapping[str, Sequence[Any]]) -> list[Any]:
        """Return the values of all taps in order; a step looks them up by index."""
        values: list[Any] = []
        for source in self._sources:
            known = dict(zip(self._order, values, strict=False)) if self._is_fed else {}
            values.extend(given[source.name] if source.name in given else source.run(batch, known))
        values.extend([read_batch(batch, tap) for tap in self._batch_taps])
        return values

    def forward(
        self,
        batch: Batch,
        weights: Mapping[str, float | Tensor],
        given: Mapping[str, Sequence[Any]] = NOTHING,
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Return the objective and its terms.

        Args:
            batch: Fields by name.
            weights: The weight of each term in this step.
            given: The values of models that `before` ran.

        Returns:
            `Σ weight · term`, and the sum of those with `separate_gradient` as a second one if there are any; each term by name
            without its weight and its graph.
        """
        values = self._values(batch, given)
        for indices in self._lists:
            values.append([values[index] for index in indices])
        terms: dict[str, Tensor] = {}
        total: Tensor | None = None
        apart: Tensor | None = None
        watch, adapted = self.watch, self._adapted
        for name, call, indexed, is_separate in self._calls:
            arguments = {}
            for parameter, index in indexed:  # not a comprehension, which is a call in Python 3.11
                arguments[parameter] = values[index]
            if name in adapted:
                arguments = self.wirings[name].adapted(arguments)
            loss = watch(name, call, arguments) if watch else call(**arguments)
            if not isinstance(loss, Tensor) or loss.dim() != 0:
                raise WiringError(not_one_number(name, self.terms[name], loss))
            terms[name] = loss.detach()
            weight = weights[name]
            weighted = weight * loss if isinstance(weight, Tensor) or weight != 1 else loss
            if is_separate:
                apart = weighted if apart is None else apart + weighted
            else:
                total = weighted if total is None else total + weighted
        if total is not None:
            return (total,) if apart is None else (total, apart), terms
        if apart is not None:
            return (apart,), terms
        message = "a stage has no losses"
        raise WiringError(message, hint="give at least one under `losses`")


def not_one_number(name: str, term: Term, loss: Any) -> str:
    """Return the message for a loss that is not a scalar."""
    given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
    return f"losses.{name}: {type(term.loss).__name__} gave {given}, and a loss is one number (a 0-dim tensor)"


def batch_values(taps: Iterable[Tap], batch: Batch, known: Mapping[Tap, Any]) -> dict[Tap, Any]:
    """Return the values of the taps that read the batch."""
    return {tap: read_batch(batch, tap) for tap in taps if tap.source == "batch" and tap not in known}
