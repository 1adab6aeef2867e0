"""A tap whose feature is converted before a loss gets it: from tokens to a map, from channels-last to channels-first.

In a file it is a mapping in place of the address:

    inputs:
      student: {tap: student.layer3, as: tokens}
      teacher: {tap: teacher.blocks.11, as: map, num_prefix_tokens: 1, size: [7, 7]}

This module imports no torch, so that a file can be checked without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .errors import WiringError, did_you_mean
from .ranges import NonNegativeInt, PositiveInt, check_fields

Kind = Literal["map", "tokens", "vector"]
Layout = Literal["nchw", "nhwc", "tokens"]
Resize = Literal["pool", "bilinear"]


@dataclass(frozen=True)
class Feature:
    """A tap and the layout in which a loss gets its tensor.

    Attributes:
        tap: The address of the tensor.
        as_: `map` (batch, channels, height, width), `tokens` (batch, tokens, channels) or `vector`, the mean over
            positions. `as` in a file.
        layout: The layout of the tensor: `nchw`, `nhwc` or `tokens`. If omitted, it is that of the known families of
            timm and torchvision, otherwise that of the shape. A shape that fits two layouts is refused.
        num_prefix_tokens: Number of tokens before the patches (class token, registers), which are removed. If omitted, it
            is that of the model, or the only number up to five that leaves a full grid.
        grid: Rows and columns of the patches of a sequence; that of the model or a square if omitted.
        size: Height and width to which a map is brought; unchanged if omitted.
        resize: `pool` averages, `bilinear` interpolates.

    Raises:
        WiringError: A word is not one of those above, or a pair of numbers is not a pair.

    >>> Feature("student.layer3", as_="tokens").as_
    'tokens'
    """

    tap: str
    as_: Kind
    layout: Layout | None = None
    num_prefix_tokens: NonNegativeInt | None = None
    grid: Sequence[PositiveInt] | None = None
    size: Sequence[PositiveInt] | None = None
    resize: Resize = "pool"

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value, choices in (
            ("as", self.as_, Kind),
            ("layout", self.layout, Layout),
            ("resize", self.resize, Resize),
        ):
            words = get_args(choices)
            if value not in words and not (name == "layout" and value is None):
                message = f"`{name}` of '{self.tap}' must be one of {', '.join(words)}, got {value!r}"
                raise WiringError(message, hint=did_you_mean(str(value), words))
        for name, pair in (("grid", self.grid), ("size", self.size)):
            if pair is not None and len(pair) != 2:
                message = f"`{name}` of '{self.tap}' must be two numbers, rows and columns, got {list(pair)}"
                raise WiringError(message, hint="write it like [14, 14]")
        if self.size is not None and self.as_ == "vector":
            message = f"`size` of '{self.tap}' is for maps, and `as` is vector"
            raise WiringError(message, hint="omit `size`")
