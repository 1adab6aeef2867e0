"""Benchmark on one GPU in at most eight minutes, without downloads; writes results.md after each part."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "overhead")]
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import isolation  # noqa: E402
import page  # noqa: E402
import torch  # noqa: E402
from part import Setting  # noqa: E402
from parts import NAMES  # noqa: E402

MINUTES = 8.0


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts and write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tiny", action="store_true", help="try all parts with tiny models, on a CPU if there is no GPU"
    )
    parser.add_argument("--parts", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time limit of all parts together")
    parser.add_argument("--output", type=Path, default=HERE / "results.md")
    args = parser.parse_args(words)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.tiny:
        print("torch finds no GPU\n  hint: add --tiny to try the script on a CPU", file=sys.stderr)
        return 1
    setting, end = Setting(device, args.tiny), time.monotonic() + args.minutes * 60
    parts = {name: isolation.load(name) for name in args.parts}
    outcomes: dict[str, isolation.Outcome] = {}
    page.write(args.output, parts, outcomes, setting)
    for name, part in parts.items():
        outcomes[name] = isolation.run(name, setting, min(part.seconds, end - time.monotonic()))
        page.write(args.output, parts, outcomes, setting)
        print(f"{name}: {outcomes[name].seconds:.0f} s {outcomes[name].problem}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
