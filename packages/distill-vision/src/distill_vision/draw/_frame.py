"""Pictures side by side, each under a heading, above a legend of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

GAP = 8
_TEXT = 16
_ROW = 24
_SWATCH = 14

Colour = tuple[int, int, int]


def framed(pictures: Sequence[Image.Image], headings: Sequence[str], legend: Mapping[str, Colour]) -> Image.Image:
    """Place pictures in a row on white, with headings above and a legend below.

    Args:
        pictures: The pictures.
        headings: The heading of each.
        legend: Name of each class → its colour.
    """
    width = sum(picture.width + GAP for picture in pictures) - GAP
    font = ImageFont.load_default(_TEXT)
    rows = _rows(legend, width, font)
    height = _ROW + max(picture.height for picture in pictures)
    frame = Image.new("RGB", (width, height + _ROW * len(rows)), "white")
    pen = ImageDraw.Draw(frame)
    left = 0
    for picture, heading in zip(pictures, headings, strict=True):
        pen.text((left + 2, 2), heading, "black", font)
        frame.paste(picture, (left, _ROW))
        left += picture.width + GAP
    for number, row in enumerate(rows):
        top = height + _ROW * number + 4
        for start, name in row:
            pen.rectangle((start, top, start + _SWATCH, top + _SWATCH), fill=legend[name], outline="black")
            pen.text((start + _SWATCH + 5, top - 2), name, "black", font)
    return frame


def _rows(
    legend: Mapping[str, Colour], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[list[tuple[int, str]]]:
    """Return rows of the left edge and the name of each class, as many in a row as fit."""
    rows: list[list[tuple[int, str]]] = []
    start = width
    for name in legend:
        needed = _SWATCH + 5 + int(font.getlength(name)) + 14
        if start + needed > width or not rows:
            rows.append([])
            start = 2
        rows[-1].append((start, name))
        start += needed
    return rows
