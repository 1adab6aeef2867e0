"""Sphinx configuration. `hatch run docs:build` writes the reference pages, then the site in docs/_build/html."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from generate import write_reference  # noqa: E402
from mathml import display_math, inline_math  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

from distill_core import __version__  # noqa: E402

project = "Distill"
author = "The Distill authors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser"]
exclude_patterns = ["_build", "README.md"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
smartquotes = False  # options keep their two dashes, and messages their quotes

html_theme = "furo"
html_title = f"Distill {__version__}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["distill.css"]
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Write the generated pages and register the renderer of formulas."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    write_reference(HERE / "reference")
