"""Comparison of models of one tokenizer whose vocabularies are padded to different sizes.

Published models round the number of their logits up: of one tokenizer with 151,665 tokens, Qwen2.5 0.5B has 151,936 logits
and Qwen2.5 7B has 152,064. The losses of a stage get the logits that the compared models have in common, over which they
normalise. A frozen model is cut before its values are stored in a cache. A trained model is cut only in the losses that
compare it, so a cross-entropy of its own still sees all of its logits.

A loss with `aligns_vocabularies = True` takes logits of different tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..data import Vocabulary
from ..errors import Problem, WiringError
from ..experiment import Term
from ..taps import BATCH, Tap
from ..wiring import Wiring
from ._readers import fed_fields, method_of_data
from ._resolved_stage import ResolvedStage


@dataclass(frozen=True)
class SharedVocabulary:
    """The logits that the models of a stage have in common.

    Attributes:
        limits: Model whose logits are cut → address of the logits → number of logits to keep.
        terms: The terms that compare logits of several models.
        notes: What is cut, and vocabularies of equal size that differ.
    """

    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    terms: frozenset[str] = frozenset()
    notes: tuple[Problem, ...] = ()


def shared_vocabulary(models: Mapping[str, nn.Module], stage: ResolvedStage, data: Any) -> SharedVocabulary:
    """Return the logits that the models of a stage have in common, by the vocabularies of their tokenizers.

    Args:
        models: All models by name.
        stage: The stage.
        data: Its loader, or a data function that is not called yet.

    Raises:
        WiringError: A loss compares logits of different sizes whose tokenizers differ.
    """
    of_model = method_of_data(data, "vocabulary_of")
    taps = {name: Wiring(term.inputs, f"losses.{name}").taps for name, term in stage.losses.items()}
    candidates = {tap.source for each in taps.values() if len(_models(each)) > 1 for tap in each}
    if of_model is None or not candidates:
        return SharedVocabulary()
    fields = fed_fields([term.inputs for term in stage.losses.values()], stage.feed)
    known = {name: of_model(model, fields.get(name, {})) for name, model in models.items() if name in candidates}
    compared = {name: _compared(each, known) for name, each in taps.items()}
    compared = {name: vocabularies for name, vocabularies in compared.items() if len(vocabularies) > 1}
    notes = [_difference(name, stage.losses[name], vocabularies) for name, vocabularies in compared.items()]
    limits: dict[str, Mapping[str, int]] = {}
    for group in _groups(compared.values()):
        least = min(each.num_outputs for each in group.values())
        cut = {name: each for name, each in group.items() if each.num_outputs > least}
        limits |= {name: dict.fromkeys(each.outputs, least) for name, each in cut.items()}
        notes.append(_cut_note(group, least) if cut else None)
    return SharedVocabulary(limits, frozenset(compared), tuple(note for note in notes if note is not None))


def _models(taps: Iterable[Tap]) -> set[str]:
    return {tap.source for tap in taps if tap.source != BATCH}


def _compared(taps: Iterable[Tap], known: Mapping[str, Vocabulary | None]) -> dict[str, Vocabulary]:
    """Return the models whose logits, or fields of stored logits, are among the taps of a loss."""
    found = {}
    for tap in taps:
        vocabulary = known.get(tap.source)
        if vocabulary is not None and any(f"{tap.address}.".startswith(f"{each}.") for each in vocabulary.outputs):
            found[tap.source] = vocabulary
    return found


def _groups(compared: Iterable[Mapping[str, Vocabulary]]) -> list[dict[str, Vocabulary]]:
    """Return the compared models, grouped by their tokens."""
    groups: dict[tuple[int, str], dict[str, Vocabulary]] = {}
    for vocabularies in compared:
        for name, each in vocabularies.items():
            groups.setdefault((each.num_tokens, each.digest), {})[name] = each
    return list(groups.values())


def _difference(name: str, term: Term, compared: Mapping[str, Vocabulary]) -> Problem | None:
    """Return a note if the tokenizers of compared logits of equal size differ; None otherwise.

    Raises:
        WiringError: The sizes differ too.
    """
    is_able = getattr(term.loss, "aligns_vocabularies", False)
    if is_able or len({(each.num_tokens, each.digest) for each in compared.values()}) == 1:
        return None
    sizes = " and ".join(f"'{model}' ({each.num_tokens} tokens)" for model, each in compared.items())
    message = f"{type(term.loss).__name__} compares the logits of {sizes} one by one, but their tokenizers differ"
    hint = "use ULDLoss, which compares sorted probabilities, or models of one tokenizer"
    if len({each.num_outputs for each in compared.values()}) > 1:
        raise WiringError(message, key=f"losses.{name}", hint=hint)
    return Problem(message, key=f"losses.{name}", hint=hint)


def _cut_note(group: Mapping[str, Vocabulary], least: int) -> Problem:
    sizes = " and ".join(f"{each.num_outputs} of '{model}'" for model, each in group.items())
    num_tokens = next(iter(group.values())).num_tokens
    message = (
        f"the losses compare the first {least} logits, over which they normalise: the models have {sizes}, padded from the "
        f"{num_tokens} tokens of one tokenizer"
    )
    return Problem(message)
