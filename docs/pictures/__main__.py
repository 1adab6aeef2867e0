"""Make the pictures of the README from real runs: a recording of the terminal and a screenshot of the HTML report.

python docs/pictures            # needs the packages of this repository, Chromium and Pillow
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from terminal import animated_svg, record

FOLDER = Path(__file__).resolve().parent
FILE = "first.yaml"
COMMANDS = (
    ("distill", "new", FILE),
    ("distill", "check", FILE, "--deep"),
    ("distill", "run", FILE, "--output", "runs/first"),
    ("distill", "report", "runs", "--output", "report.html", "--compare-models"),
)
SIZE = (1100, 2600)  # of the screenshot, in pixels
NUM_COLOURS = 96


def main() -> None:
    """Run the commands in an empty folder and write the pictures beside this file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        program = folder / "bin" / "distill"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m distill_core "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        path = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "TERM": "xterm-256color"}
        frames = record(COMMANDS, folder, path)
        (FOLDER / "run.svg").write_text(animated_svg(frames, "distill new, check, run and report"), encoding="utf-8")
        photograph(folder / "report.html", FOLDER / "report.png")


def photograph(page: Path, picture: Path) -> None:
    """Write a screenshot of a page in few colours."""
    browser = next(found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name)))
    size = ",".join(map(str, SIZE))
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}"]
    subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
    with Image.open(picture) as image:
        image.convert("RGB").quantize(NUM_COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    main()
