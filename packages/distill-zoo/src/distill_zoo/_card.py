"""Cards: the metadata of a set of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from ._errors import ZooError

_NAME = re.compile(r"[A-Za-z0-9][\w-]*(/[A-Za-z0-9][\w-]*)+(\.[A-Za-z0-9][\w.-]*)?")

Format = Literal["safetensors", "torch"]


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """Location and identity of a weight file.

    Attributes:
        url: An https URL, or an empty string.
        repo: A repository on the Hugging Face Hub, instead of a URL.
        file: The file in that repository. Without `repo` and `url`, a file next to the card file.
        revision: A commit, tag or branch of the repository.
        member: If the URL is a zip or tar archive, a glob that matches the one file in it.
        sha256: The file's SHA-256, None if the publisher gives none.
        sha256_prefix: The beginning of the hash, if only that is published (in the file's name).
        bytes: The file's size in bytes, None if unknown.
        format: The file format.
    """

    url: str = ""
    repo: str = ""
    file: str = ""
    revision: str = ""
    member: str = ""
    sha256: str | None = None
    sha256_prefix: str = ""
    bytes: int | None = None
    format: Format = "torch"

    @property
    def origin(self) -> str:
        """Description of the file's source, for messages."""
        if self.repo:
            return f"{self.repo}/{self.file} at {self.revision or 'main'} on the Hugging Face Hub"
        inside = f", {self.member} inside" if self.member else ""
        return (self.url or self.file) + inside

    @property
    def filename(self) -> str:
        """The file's name in the cache."""
        return (self.member or self.file or urlsplit(self.url).path).rpartition("/")[2].replace("*", "_")


@dataclass(frozen=True, kw_only=True)
class Input:
    """The model's expected input.

    Attributes:
        size: Height and width, None for any size.
        channels: 1 for greyscale, 3 for RGB.
        mean: Mean of each channel, for values from 0 to 1.
        std: Standard deviation of each channel, for values from 0 to 1.
        resize: Size of the shorter side, or (height, width), before the centre crop. None skips resizing.
        interpolation: The interpolation mode of the resize.
        scale: The largest possible pixel value.
    """

    size: tuple[int, int] | None = None
    channels: int = 3
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | tuple[int, int] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    scale: float = 255.0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured or reported metric value.

    Attributes:
        name: The metric, such as `top1`.
        value: The value. Accuracies, F1, mIoU, mAP and GLUE's correlations are in percent, as papers quote them.
        split: The split that it was measured on.
        chosen: How the weights were selected during the run.
        seeds: The seeds of the runs behind the value, empty if unknown.
        tolerance: Largest accepted difference to the value of a repeated run.
    """

    name: str
    value: float
    split: str
    chosen: str = ""
    seeds: tuple[int, ...] = ()
    tolerance: float | None = None


@dataclass(frozen=True, kw_only=True)
class Training:
    """Provenance of the weights.

    Attributes:
        recipe: The experiment's YAML file: a URL, or a path relative to this repository.
        commit: The commit that the run used.
        seed: The run's seed.
        folder: The folder with the run's recipe, log and results, next to the card file.
    """

    recipe: str = ""
    commit: str = ""
    seed: int | None = None
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Metadata of a set of weights.

    Attributes:
        name: `dataset/model`, or `dataset/model.tag` if a model has several sets of weights.
        dataset: The training dataset.
        builder: Import path of the function that builds the model, empty if none exists.
        kwargs: The builder's arguments. An argument `{builder: …, kwargs: {…}}` is built first.
        weights: The weight file.
        input: The expected image, None if the input is not an image.
        classes: The number of classes.
        labels: The class names, in the order of the logits.
        metrics: The measured or reported metrics.
        trained_by: Provenance of the weights.
        teacher: The name of the teacher's card, or a description of the teacher.
        license: The license of the weights, as an SPDX identifier.
        source: The project that trained the weights.
        paper: URL of the paper.
        deprecated: Former names of the card.
        ignored: Tensors in the file that the model does not use.
        note: Additional remarks.
        owner: The distribution that provides the card.
    """

    name: str
    dataset: str
    builder: str = ""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightFile
    input: Input | None = None
    classes: int | None = None
    labels: tuple[str, ...] = ()
    metrics: tuple[Measurement, ...] = ()
    trained_by: Training | None = None
    teacher: str = ""
    license: str
    source: str = ""
    paper: str = ""
    deprecated: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    note: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        for name in (self.name, *self.deprecated):
            if not _NAME.fullmatch(name):
                message = f"'{name}' is not a valid name"
                raise ZooError(message, hint="use the form 'dataset/model' or 'dataset/model.tag'")
        if self.labels and self.classes not in (None, len(self.labels)):
            message = f"{self.name}: {self.classes} classes need {self.classes} labels, got {len(self.labels)}"
            raise ZooError(message)

    @property
    def model(self) -> str:
        """The name without its tag."""
        return split_tag(self.name)[0]

    @property
    def tag(self) -> str:
        """The tag that distinguishes several weights of one model."""
        return split_tag(self.name)[1]

    @property
    def verified(self) -> bool:
        """Whether the file's hash is published."""
        return self.weights.sha256 is not None

    @property
    def embedded(self) -> bool:
        """Whether the file is part of an installed package."""
        return not (self.weights.url or self.weights.repo)


def split_tag(name: str) -> tuple[str, str]:
    """Split a name into the name without its tag, and the tag.

    >>> split_tag("digits/convnet8.kd"), split_tag("digits/convnet8")
    (('digits/convnet8', 'kd'), ('digits/convnet8', ''))
    """
    folder, slash, last = name.rpartition("/")
    model, _, tag = last.partition(".")
    return folder + slash + model, tag
