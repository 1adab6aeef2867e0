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
    for index in shown(boxes, threshold):  # the highest score on top
        left, top, right, bottom = boxes["boxes"][index].tolist()
        label = int(boxes["labels"][index])
        pen.rectangle((left, top, right, bottom), outline=palette(label), width=max(2, picture.height // 160))
        text = (names or {}).get(label, str(label))
        if "scores" in boxes:
            text += f" {float(boxes['scores'][index]):.0%}"
        at = _beside((left, top, bottom), pen.textbbox((0, 0), text, font), picture.size)
        pen.rectangle(pen.textbbox(at, text, font), fill=palette(label))
        pen.text(at, text, "black" if sum(palette(label)) > 380 else "white", font)
    return picture


def shown(boxes: Mapping[str, Tensor], threshold: float) -> list[int]:
    """Return the indices of the boxes whose score is at least the threshold, lowest score first; of all without scores."""
    if "scores" not in boxes:
        return list(range(len(boxes["labels"])))
    scores = boxes["scores"].tolist()
    return sorted((index for index, score in enumerate(scores) if score >= threshold), key=scores.__getitem__)


def _beside(
    box: tuple[float, float, float], text: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float]:
    """Return where a name begins: above its box, or below if there is no space, or inside if there is none at all.

    Args:
        box: Left, top and bottom of the box.
        text: The extent of the name if it begins at the origin.
        size: Width and height of the picture.
    """
    left, top, bottom = box
    above, below = top - text[3] - 1, bottom + 2 - text[1]
    inside = top + 2
    y = above if above + text[1] >= 0 else below if below + text[3] <= size[1] else inside
    return max(0.0, min(left, size[0] - text[2])), y
