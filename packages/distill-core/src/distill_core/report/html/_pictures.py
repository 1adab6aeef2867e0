"""Pictures inside the page, as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from ._markup import Html, element, join
from ._run import ReportRun


def data_image(png: bytes, text: str) -> Html:
    """Return a PNG file as an image with a text alternative."""
    return element("img", src=f"data:image/png;base64,{base64.b64encode(png).decode()}", alt=text, loading="lazy")


def drawn_pictures(runs: Sequence[ReportRun]) -> Html:
    """Return the pictures that the runs drew, a heading for each run."""
    parts = []
    for run in runs:
        if run.pictures:
            images = [
                element("figure", data_image(png, f"Sample {number}: ground truth and prediction of {run.name}"))
                for number, png in enumerate(run.pictures)
            ]
            parts.append(join(element("h3", run.name), element("div", *images, class_="grid-of")))
    return join(*parts)
