"""The samples on which a student is worst, with their picture or text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._markup import Html, element, join
from ._pictures import data_image

if TYPE_CHECKING:
    from ..comparison import ShownExample


def worst_examples(examples: Sequence[ShownExample]) -> Html:
    """Return the samples with the largest loss of the student; empty if there are none."""
    if not examples:
        return Html("")
    note = "The largest cross-entropy first. The contrast of pictures is stretched."
    figures = element("div", *map(_example, examples), class_="examples")
    return join(element("h3", "Worst samples of the student"), element("p", note), figures)


def _example(example: ShownExample) -> Html:
    name = f"Sample {example.index}"
    if isinstance(example.content, bytes):
        content = data_image(example.content, f"{name}, class {example.target}")
    else:
        content = element("blockquote", example.content or "(this input cannot be shown)")
    (own, sure), (other, teacher_sure) = example.student, example.teacher
    lines = [
        f"{name}: {example.target}. ",
        f"Student: {own} ({sure:.0%}). Teacher: {other} ({teacher_sure:.0%}). Loss {example.loss:.3g}.",
    ]
    return element("figure", content, element("figcaption", *lines))
