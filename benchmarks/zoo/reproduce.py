"""Train weights of the zoo again with their recipe and seed, and compare the metrics with their card."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import distill_zoo
from distill_core import cli

ROOT = Path(__file__).resolve().parents[2]


def train(card: distill_zoo.Card, output: Path) -> dict[str, Any]:
    """Train the student of a card again, from the teacher in the zoo, and return the run's results."""
    training = card.trained_by
    changes = [f"seed={training.seed}"]
    if card.teacher:
        changes.append(f"models.teacher.path={distill_zoo.download(card.teacher)}")
    cli.run_experiment(ROOT / training.recipe, changes, output=output, resume=True, quiet=not sys.stderr.isatty())
    return json.loads((output / "results.json").read_text(encoding="utf-8"))


def compare(card: distill_zoo.Card, results: dict[str, Any]) -> bool:
    """Print each metric next to the card's, and return whether all are within the card's tolerance."""
    is_within = []
    for each in card.metrics:
        value = results["best"][each.split][each.name] * (100 if each.name in results["percent"] else 1)
        is_within.append(abs(value - each.value) <= each.tolerance)
        verdict = "within" if is_within[-1] else "NOT within"
        print(f"{card.name}: {each.split} {each.name} {value:.2f}, card {each.value:.2f}: {verdict} {each.tolerance:g}")
    return all(is_within)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # results depend on the number of threads
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="digits/convnet8.kd, or a glob: 'digits/*'")
    parser.add_argument("--output", type=Path, default=Path("runs/zoo"), help="output folder of the runs")
    args = parser.parse_args()
    chosen = dict.fromkeys(name for glob in args.names for name in distill_zoo.list_models(glob) or [glob])
    cards = [card for name in chosen if (card := distill_zoo.card(name)).embedded]
    if not cards:
        sys.exit(
            f"none of {', '.join(args.names)} was trained here; try {', '.join(distill_zoo.list_models('digits/*'))}"
        )
    verdicts = [compare(card, train(card, args.output / card.name)) for card in cards]
    sys.exit(0 if all(verdicts) else 1)
