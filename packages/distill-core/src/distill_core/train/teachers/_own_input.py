"""Inputs of a model that are not those of the data: images of another size or normalisation, texts of another tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data import Loader, preprocessing_of
from ...errors import WiringError
from ...experiment import Experiment, Inherit, SourceSettings
from ...taps import BATCH
from ..callbacks import Evaluate
from ._source import ModelSource

ATTRIBUTE = "own_input"
"""Attribute of a model with its `OwnInput`."""


class OwnInput:
    """A forward pre-hook that normalises and resizes the images that a model is called with.

        x' = (x · data_std + data_mean − mean) / std,  then resized

    It runs on the device and does not change the names of modules. Mixed images are converted as well as others.

    Args:
        name: Name of the model.
        settings: The size and normalisation that it expects.
        normalised: Mean and standard deviation of each channel with which the data are normalised; without them only the
            shapes are right, as for a preview.
    """

    def __init__(
        self, name: str, settings: SourceSettings, normalised: tuple[Sequence[float], Sequence[float]] | None
    ) -> None:
        self.name = name
        self.size = None if settings.size is None else tuple(settings.size)
        own = None if settings.mean is None or settings.std is None else (settings.mean, settings.std)
        self.num_channels = None if own is None else len(own[0])
        self.affine: list[tuple[float, float]] = []
        if own is not None and normalised is not None:
            channels = zip(*own, *normalised, strict=True)
            self.affine = [
                (given_std / std, (given_mean - mean) / std) for mean, std, given_mean, given_std in channels
            ]

    def __call__(
        self, model: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with converted images."""
        if not any(map(_is_images, (*arguments, *keywords.values()))):
            message = (
                "`size`, `mean` and `std` are for images (batch, channels, height, width), which it is not called with"
            )
            raise WiringError(message, key=f"sources.{self.name}")
        return tuple(map(self.converted, arguments)), {key: self.converted(value) for key, value in keywords.items()}

    def converted(self, value: Any) -> Any:
        """Return images as the model expects them, and anything else unchanged.

        Raises:
            WiringError: `mean` has another number of channels than the images.
        """
        if not _is_images(value):
            return value
        if self.num_channels not in (None, value.shape[1]):
            message = f"`mean` has {self.num_channels} entries, and the images have {value.shape[1]} channels"
            raise WiringError(message, key=f"sources.{self.name}")
        images: Tensor = value
        if self.affine:
            channels = zip(torch.unbind(images.unsqueeze(2), dim=1), self.affine, strict=True)
            images = torch.cat([channel * factor + shift for channel, (factor, shift) in channels], dim=1)
        if self.size is not None and images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True, align_corners=False)
        return images


def _is_images(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4 and value.is_floating_point()


def set_own_inputs(models: Mapping[str, nn.Module], experiment: Experiment, *, shapes_only: bool = False) -> None:
    """Let models convert the images that they are called with, as `sources` says; a repeated call replaces the settings.

    Args:
        models: The models by name.
        experiment: Its `sources`, and its data, whose normalisation is read from their transforms.
        shapes_only: Do not read the data.

    Raises:
        WiringError: The normalisation of the data is not known, or that of a model has another number of channels.
    """
    for name, settings in experiment.sources.items():
        if name not in models or not settings.input_text:
            continue
        normalised = None if shapes_only or settings.mean is None else _normalisation(experiment, name, settings.mean)
        if ATTRIBUTE not in vars(models[name]):
            vars(models[name])[ATTRIBUTE] = hook = OwnInput(name, settings, normalised)
            models[name].register_forward_pre_hook(hook, with_kwargs=True)
        vars(vars(models[name])[ATTRIBUTE]).update(vars(OwnInput(name, settings, normalised)))


def check_own_tokens(source: ModelSource) -> None:
    """Refuse a model with a tokenizer of its own that reads none of its tokens.

    Raises:
        WiringError: Its feed reads no field of a batch whose name begins with that of the model.
    """
    own = f"{source.name}_"
    fields = (
        [str(tap.fields[0]) for tap in source.feed.taps if tap.source == BATCH and tap.fields] if source.feed else []
    )
    if source.settings.tokenizer is None or any(field.startswith(own) for field in fields):
        return
    message = f"'{source.name}' has a tokenizer of its own, but reads no field `batch.{own}…`"
    hint = f"give the data `tokenizers: {{{source.name}: …}}`, and feed it batch.{own}input_ids"
    raise WiringError(message, key=f"feed.{source.name}", hint=hint)


def _normalisation(experiment: Experiment, name: str, own: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Return the mean and the standard deviation with which all data are normalised."""
    known = [preprocessing_of(loader) for loader in _loaders(experiment)]
    found = {(tuple(each["mean"]), tuple(each["std"])) for each in known if "mean" in each}
    key = f"sources.{name}.mean"
    if len(found) != 1:
        message = (
            "the normalisation of the data is not known" if not found else "the data have different normalisations"
        )
        hint = (
            "normalise them by a transform with `mean` and `std`, or wrap the model in distill_core.layers.Renormalise"
        )
        raise WiringError(message, key=key, hint=hint)
    mean, std = found.pop()
    if len(mean) != len(own):
        message = f"it has {len(own)} entries, and that of the data has {len(mean)}"
        raise WiringError(message, key=key)
    return mean, std


def _loaders(experiment: Experiment) -> Iterable[Loader]:
    """Return the loaders of all stages and evaluations that are built."""
    stages = [stage.data for stage in experiment.stages if not isinstance(stage.data, Inherit)]
    evaluations = [each.evaluation for each in experiment.callbacks if isinstance(each, Evaluate)]
    tests = [each.loader for each in (*evaluations, experiment.test) if each is not None]
    return [each for each in (*experiment.data.values(), *stages, *tests) if isinstance(each, Loader)]
