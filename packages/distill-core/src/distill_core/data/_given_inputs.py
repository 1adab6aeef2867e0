"""A user's own inputs, prepared like the samples of a dataset, for predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

Records = list[dict[str, Any]]
"""A mapping of JSON values for each sample."""


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """Options of predictions.

    Attributes:
        top: Number of most probable classes to list.
        threshold: Least score of a box, and least probability of a label of a sample that may have several.
        max_new_tokens: Maximum number of tokens that a language model generates.
        folder: The folder of predictions that are images.
    """

    top: int = 5
    threshold: float = 0.5
    max_new_tokens: int = 64
    folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class GivenInputs:
    """A user's own inputs as a dataset.

    Attributes:
        inputs: The path, the text or the row of each input, as JSON values.
        dataset: The samples, without targets.
        collate: Function from a list of samples to a batch; that of the original loader if omitted.
        outputs: Meaning of a sample's row of outputs: scores of classes, of which one is right (`class`) or any number
            (`labels`), or one number (`value`).
        describe: Function (outputs, batch, options) → a record for each sample, if outputs are not such a row.
        complete: Function (model, batch, options) → a record for each sample, if the model generates instead.
        writes_images: Whether `describe` writes images into the folder of the options.
        errors: Index of an input that cannot be read → reason; its sample has any value.
    """

    inputs: Sequence[Any]
    dataset: Any
    collate: Callable[[list[Any]], Any] | None = None
    outputs: Literal["class", "labels", "value"] = "class"
    describe: Callable[[Any, Mapping[str, Any], PredictionOptions], Records] | None = None
    complete: Callable[[Any, Mapping[str, Any], PredictionOptions], Records] | None = None
    writes_images: bool = False
    errors: Mapping[int, str] = field(default_factory=dict)


@runtime_checkable
class AcceptsInputs(Protocol):
    """A dataset that prepares a user's own inputs like its samples, which `distill predict` needs."""

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return the inputs in files and folders, and the texts, as samples.

        Raises:
            DataError: An input is of another kind, or cannot be read.
        """
        ...


def dataset_for_inputs(loader: Any) -> AcceptsInputs | None:
    """Return the dataset of a loader, or the one below its subsets, if it accepts a user's inputs; None otherwise."""
    dataset = getattr(loader, "dataset", None)
    while dataset is not None and not isinstance(dataset, AcceptsInputs):
        dataset = getattr(dataset, "dataset", None)  # of a Subset
    return dataset
