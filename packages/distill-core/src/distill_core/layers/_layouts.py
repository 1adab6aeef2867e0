"""Layouts of features: maps, sequences and vectors, conversions between them, and a check that two of them match.

A map is (batch, channels, height, width). A sequence is (batch, tokens, channels), and a vector (batch, channels). A map
in `torch.channels_last` memory format is certainly a map: `map_from_nhwc` and `tokens_to_map` return this format.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_PREFIX_TOKENS = 5
"""Largest number of prefix tokens to consider where it is not given: a class token and four registers."""

_KINDS = {2: "a vector", 3: "a sequence of tokens", 4: "a map", 5: "a video map"}


def map_from_nhwc(feature: Tensor) -> Tensor:
    """Return (batch, height, width, channels) as a map; no element is copied.

    >>> map_from_nhwc(torch.zeros(2, 7, 7, 96)).shape
    torch.Size([2, 96, 7, 7])
    """
    return feature.movedim(-1, 1)


def tokens_to_map(tokens: Tensor, num_prefix_tokens: int | None = None, grid: tuple[int, int] | None = None) -> Tensor:
    """Return the patch tokens of a sequence as a map.

    Args:
        tokens: (batch, tokens, channels), the patches row by row.
        num_prefix_tokens: Number of tokens before the patches: class token and registers. If omitted, the only number
            up to five that leaves a square grid, or that leaves `grid`.
        grid: Rows and columns of the patches; square if omitted.

    Raises:
        ValueError: The tokens do not fill the grid, or several numbers of prefix tokens fit.

    >>> tokens_to_map(torch.zeros(2, 197, 384), num_prefix_tokens=1).shape
    torch.Size([2, 384, 14, 14])
    """
    count = tokens.shape[1]
    prefixes = range(MOST_PREFIX_TOKENS + 1) if num_prefix_tokens is None else [num_prefix_tokens]
    fitting = [prefix for prefix in prefixes if _grid_of(count - prefix, grid)]
    shown = f"of {grid[0]}×{grid[1]}" if grid else "that is square"
    if not fitting:
        after = "" if num_prefix_tokens is None else f" after {num_prefix_tokens} prefix tokens"
        message = f"{count} tokens do not form a grid {shown}{after}: give `num_prefix_tokens` and `grid`"
        raise ValueError(message)
    if len(fitting) > 1:
        message = f"{count} tokens form a grid {shown} after {' or '.join(map(str, fitting))} prefix tokens: give `num_prefix_tokens`"
        raise ValueError(message)
    rows, columns = _grid_of(count - fitting[0], grid) or (0, 0)
    return tokens[:, fitting[0] :].reshape(len(tokens), rows, columns, tokens.shape[2]).movedim(-1, 1)


def map_to_tokens(feature: Tensor) -> Tensor:
    """Return a map as a sequence (batch, height · width, channels), row by row.

    >>> map_to_tokens(torch.zeros(2, 96, 7, 7)).shape
    torch.Size([2, 49, 96])
    """
    return feature.flatten(2).transpose(1, 2)


def resize_map(feature: Tensor, size: tuple[int, int], mode: Literal["pool", "bilinear"] = "pool") -> Tensor:
    """Return a map of another height and width.

    Args:
        feature: (batch, channels, height, width).
        size: Height and width of the result.
        mode: `pool` averages (adaptive average pooling); `bilinear` interpolates between centres of pixels.
    """
    if mode == "pool":
        return F.adaptive_avg_pool2d(feature, size)
    return F.interpolate(feature, size, mode="bilinear", align_corners=False, antialias=False)


_LEAST_CHANNELS = 5
"""Number of channels that a feature has at least; fewer in the last dimension are the width of a map."""


def require_same_layout(student: Tensor, teacher: Tensor) -> None:
    """Check that two features have the same layout, and that maps are not channels-last.

    Two maps are channels-last if their heights and widths match only when read as (batch, height, width, channels).
    If both readings match, dimensions 1 and 2 that are equal, before a different one, also count as channels-last.

    Raises:
        ValueError: The layouts differ, or a map is or may be channels-last.

    >>> require_same_layout(torch.zeros(2, 14, 14, 96), torch.zeros(2, 14, 14, 192))
    Traceback (most recent call last):
    ValueError: `student` (2, 14, 14, 96) and `teacher` (2, 14, 14, 192) look like (batch, height, width, channels): write `{tap: TAP, as: map, layout: nhwc}` in `inputs` for each such feature, or `layout: nchw` if it is channels-first
    """
    if student.dim() != teacher.dim():
        ours, theirs = (_KINDS.get(each.dim(), f"{each.dim()}-dimensional") for each in (student, teacher))
        target = "vector" if 2 in (student.dim(), teacher.dim()) else "map"
        message = (
            f"`student` {tuple(student.shape)} is {ours} and `teacher` {tuple(teacher.shape)} is {theirs}: write "
            f"`{{tap: TAP, as: {target}}}` in `inputs` for the other one"
        )
        raise ValueError(message)
    names = [
        name for name, is_last in zip(("student", "teacher"), _channels_last(student, teacher), strict=True) if is_last
    ]
    if names:
        given = {"student": student, "teacher": teacher}
        shown = " and ".join(f"`{name}` {tuple(given[name].shape)}" for name in names)
        message = (
            f"{shown} look{'s' if len(names) == 1 else ''} like (batch, height, width, channels): write "
            "`{tap: TAP, as: map, layout: nhwc}` in `inputs` for each such feature, or `layout: nchw` if it is channels-first"
        )
        raise ValueError(message)


def _channels_last(student: Tensor, teacher: Tensor) -> tuple[bool, bool]:
    """Return for both features whether they are or may be channels-last."""
    certain = [_is_certain(each) for each in (student, teacher)]
    if student is teacher or student.dim() != 4 or all(certain):
        return False, False
    first, last = [each.shape[2:] for each in (student, teacher)], [each.shape[1:3] for each in (student, teacher)]
    squares = [_looks_last(each) for each in (student, teacher)]
    if _proportional(first[0], first[1]):
        both = all(squares) and not any(certain)
        return both, both
    for is_last in ((False, True), (True, False), (True, True)):
        sizes = [last[side] if is_last[side] else first[side] for side in (0, 1)]
        refuted = [
            known or not _has_channels_last(each) for known, each in zip(certain, (student, teacher), strict=True)
        ]
        contradicted = any(chosen and no for chosen, no in zip(is_last, refuted, strict=True))
        if not contradicted and sizes[0][0] * sizes[1][1] == sizes[0][1] * sizes[1][0]:
            return is_last
    return False, False


def _is_certain(feature: Tensor) -> bool:
    """Return whether a feature with four dimensions is stored as a channels-last map, and so is a map."""
    return not feature.is_contiguous() and feature.is_contiguous(memory_format=torch.channels_last)


def _looks_last(feature: Tensor) -> bool:
    return (
        feature.shape[1] == feature.shape[2] != feature.shape[3]
        and feature.shape[1] > 1
        and _has_channels_last(feature)
    )


def _has_channels_last(feature: Tensor) -> bool:
    """Return whether the last dimension is large enough to be the channels of a feature."""
    return feature.shape[3] >= _LEAST_CHANNELS


def _proportional(first: torch.Size, second: torch.Size) -> bool:
    """Return whether two sizes have the same proportions, up to one pixel of rounding."""
    difference = abs(first[0] * second[1] - first[1] * second[0])
    return bool(difference < max(*first, *second))


def _grid_of(count: int, grid: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the grid that `count` patches fill; None if there is none."""
    if grid is not None:
        return grid if grid[0] * grid[1] == count else None
    side = math.isqrt(max(count, 0))
    return (side, side) if count > 0 and side * side == count else None
