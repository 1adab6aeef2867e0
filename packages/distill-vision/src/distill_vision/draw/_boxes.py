"""Images with boxes drawn on them."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ._palette import palette


def draw_boxes(
    image: Tensor, boxes: Mapping[str, Tensor], *, names: Mapping[int, str] | None = None, threshold: float = 0.5
) -> Image.Image:
    """Draw the boxes of an image, each with the colour and the name of its class.

    Args:
        image: (3, height, width) from 0 to 1.
        boxes: `boxes` (n, 4) as corners in pixels, `labels` (n,) and, for predictions, `scores` (n,).
        names: Label → name; by default the label itself.
        threshold: Least score of the predictions to draw.

    Returns:
        A picture of the image's size.
    """
    pixels = (image.detach().cpu() * 255).round().clamp(0, 255).byte()
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, picture.height // 32))
    scores = boxes["scores"].tolist() if "scores" in boxes else [None] * len(boxes["labels"])
    rows = zip(boxes["boxes"].tolist(), boxes["labels"].tolist(), scores, strict=True)
    for corners, label, score in sorted(rows, key=lambda box: box[2] or 0.0):  # the highest score on top
        if score is not None and score < threshold:
            continue
        name = (names or {}).get(label, str(label))
        pen.rectangle(corners, outline=palette(label), width=max(2, picture.height // 160))
        text = name if score is None else f"{name} {score:.0%}"
        at = (corners[0] + 3, corners[1] + 2)
        pen.rectangle(pen.textbbox(at, text, font), fill=palette(label))
        pen.text(at, text, "black" if sum(palette(label)) > 380 else "white", font)
    return picture
