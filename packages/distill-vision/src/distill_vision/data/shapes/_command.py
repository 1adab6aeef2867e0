"""The command that writes shapes as files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from distill_core.errors import DistillError

from ._coco import write_coco


def command(arguments: Sequence[str]) -> None:
    """Write the training and the test images that the arguments describe, or end with a message.

    Args:
        arguments: The words after `python -m distill_vision`.
    """
    parser = argparse.ArgumentParser(prog="python -m distill_vision", description="Data for images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shapes = commands.add_parser("shapes", help="write drawn shapes as files in COCO's layout")
    shapes.add_argument("folder", type=Path, help="folder to write, later `root` of `coco_detection`")
    shapes.add_argument("--train", type=int, default=500, help="number of training images (default: 500)")
    shapes.add_argument("--test", type=int, default=200, help="number of test images (default: 200)")
    shapes.add_argument("--size", type=int, default=64, help="height and width in pixels (default: 64)")
    shapes.add_argument("--seed", type=int, default=0, help="seed of all images (default: 0)")
    args = parser.parse_args(arguments)
    try:
        for split, count in (("train", args.train), ("test", args.test)):
            print(write_coco(args.folder, split, count, size=args.size, seed=args.seed))
    except (DistillError, OSError) as error:
        sys.exit(f"error: {error}")
