"""Boxes on a photograph."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ._palette import palette


def draw_boxes(
    image: Tensor, boxes: Mapping[str, Tensor], *, names: Mapping[int, str] | None = None, threshold: float = 0.5
) -> Image.Image:
    """The image with its boxes, each in the colour of its class and with its name.

    Args:
        image: (3, height, width) from 0 to 1.
        boxes: `boxes` (n, 4) as corners in pixels, `labels` (n,) and, of predictions, `scores` (n,).
        names: What classes are called; their numbers if left out.
        threshold: Predictions with a lower score are not drawn.

    Returns:
        A picture of the image's size.
    """
    pixels = (image.detach().cpu() * 255).round().clamp(0, 255).byte()
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, picture.height // 32))
    scores = boxes["scores"].tolist() if "scores" in boxes else [None] * len(boxes["labels"])
    found = zip(boxes["boxes"].tolist(), boxes["labels"].tolist(), scores, strict=True)
    for corners, label, score in sorted(found, key=lambda box: box[2] or 0.0):  # the surest on top
        if score is not None and score < threshold:
            continue
        told = (names or {}).get(label, str(label))
        pen.rectangle(corners, outline=palette(label), width=max(2, picture.height // 160))
        text = told if score is None else f"{told} {score:.0%}"
        at = (corners[0] + 3, corners[1] + 2)
        pen.rectangle(pen.textbbox(at, text, font), fill=palette(label))
        pen.text(at, text, "black" if sum(palette(label)) > 380 else "white", font)
    return picture
