"""Colours of classes."""

from __future__ import annotations

IGNORED = (224, 224, 192)  # VOC's colour of edges


def palette(label: int) -> tuple[int, int, int]:
    """Return VOC's colour of a class: the bits of the label go to red, green and blue in turn, to their highest bits first.

    >>> palette(0), palette(1), palette(15), palette(255)
    ((0, 0, 0), (128, 0, 0), (192, 128, 128), (224, 224, 192))
    """
    if label == 255:
        return IGNORED
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (label & 1) << bit
        green |= (label >> 1 & 1) << bit
        blue |= (label >> 2 & 1) << bit
        label >>= 3
    return red, green, blue
