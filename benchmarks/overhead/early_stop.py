"""Benchmark of models whose forward ends behind the last tap; writes early_stop.md."""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import readme
import torch
from early_stop_stages import BOXES, Stage, stages
from torch import Tensor, nn

from distill_core.train import Distiller

Step = Callable[[], Tensor]
_KINDS = ("complete", "teacher stopped", "stopped", "redesigned")
_TEXT = """# Models that stop early

Written by `python benchmarks/overhead/early_stop.py`. A step without the optimizer: {batch} images of {size}×{size} pixels in float32, one process,
one thread, in turns. CPU time is relative to the complete step, the median over {rounds} rounds. Memory is that of the tensors
which the backward needs, without parameters, in MiB. The script fails unless all steps of a row have the same loss.

- `complete`: both models run to their ends, as in a plain loop.
- `teacher stopped`: the default. The forward of a frozen teacher ends behind its last tap.
- `stopped`: with `stop_early: true`, that of the student, too.
- `redesigned`: as in torchdistill, a model of the modules up to the last tap. A dash: torchdistill does not redesign these models.

In stage 1 of FT and KTAAD only the paraphraser learns, from the teacher's feature: the student does not run. In stage 2 the student's
output is read, so that only the teacher can stop.

{machine}

{table}
"""


def _batch(size: int, batch: int, kind: str) -> dict[str, Any]:
    """Return images with boxes, masks or labels."""
    noise = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, size, size, generator=noise)
    if kind == BOXES:
        box = torch.tensor([[4.0, 4.0, size - 4.0, size - 8.0]])
        target = {"boxes": box, "labels": torch.ones(1, dtype=torch.long)}
        return {"input": list(images.sigmoid()), "target": [target] * batch}
    shape = (batch, size, size) if kind == "masks" else (batch,)
    return {"input": images, "target": torch.randint(21, shape, generator=noise)}


def _step(stage: Stage, batch: dict[str, Any], *, teacher: bool, student: bool) -> Step:
    """Return a step in which the forward of the teacher or of the student ends behind the last tap, if so requested."""
    runs = {name: model for name, model in stage.models.items() if stage.taps(name)}
    distiller = Distiller(runs, stage.terms, [name for name in runs if name == "student"], stage.feed)
    for source in distiller.sources:
        wanted = teacher if source.frozen else student
        source.model.train(not source.frozen)
        source.capture.stop_early = "always" if wanted else False
    distiller.attach()
    for source in distiller.sources:
        if source.capture.stop_early:
            arguments, keywords = source.arguments(batch, {})
            source.capture.check_stop(*arguments, **keywords)
    weights = dict.fromkeys(stage.terms, 1.0)

    def run() -> Tensor:
        (total,), _ = distiller(batch, weights)
        total.backward()
        distiller.zero_grad()
        return total.detach()

    return run


def _redesigned(stage: Stage, batch: dict[str, Any]) -> Step | None:
    """Return a step of models that end behind their last tap; None if torchdistill has no such models."""
    if stage.redesign is None:
        return None
    kept: dict[str, Tensor] = {}
    runs: dict[str, nn.Module] = {}
    for name, model in stage.models.items():
        if taps := stage.taps(name):
            for path in {tap.removesuffix(":in") for tap in taps}:
                model.get_submodule(path).register_forward_hook(_keep(kept, f"{name}.{path}" if path else name))
            runs[name] = (model if "" in taps else stage.redesign(model, taps)).train(name == "student")

    def value(tap: str) -> Any:
        return batch["target"] if tap == "batch.target" else kept[tap]

    def run() -> Tensor:
        for name, model in runs.items():
            with torch.set_grad_enabled(name == "student"):
                model(batch["input"])
        losses = []
        for term in stage.terms.values():
            inputs = term.inputs.items()
            given = {name: value(tap) if isinstance(tap, str) else [value(one) for one in tap] for name, tap in inputs}
            losses.append(term.loss(**given))
        total = torch.stack(losses).sum()
        total.backward()
        for module in (*runs.values(), *(term.loss for term in stage.terms.values())):
            module.zero_grad()
        return total.detach()

    return run


def _keep(kept: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def hook(module: nn.Module, args: Any, output: Tensor) -> None:  # noqa: ARG001 - a hook is given them
        kept[name], kept[f"{name}:in"] = output, args[0]

    return hook


def _kept_for_backward(step: Step) -> float:
    """Return the MiB of distinct tensors that a step keeps for its backward, without parameters."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(sizes.values()) / 2**20


def measure(rounds: int, size: int, batch: int) -> list[list[str]]:
    """Return a row for each stage."""
    rows = []
    for name, stage in stages().items():
        data = _batch(size, batch, stage.target)
        steps = {
            "complete": _step(copy.deepcopy(stage), data, teacher=False, student=False),
            "teacher stopped": _step(copy.deepcopy(stage), data, teacher=True, student=False),
            "stopped": _step(copy.deepcopy(stage), data, teacher=True, student=True),
        }
        if (redesigned := _redesigned(copy.deepcopy(stage), data)) is not None:
            steps["redesigned"] = redesigned
        losses = {kind: step() for kind, step in steps.items()}
        for kind, loss in losses.items():
            torch.testing.assert_close(loss, losses["complete"], msg=f"{name}: the loss of '{kind}' differs")
        kept = {kind: f"{_kept_for_backward(step):.1f}" for kind, step in steps.items()}
        times = _in_turns(steps, rounds)
        first = times["complete"]
        shown = {kind: f"{seconds / first:.2f}" for kind, seconds in times.items()}
        rows.append([name, f"{first * 1e3:.0f} ms", *(shown.get(kind, "–") for kind in _KINDS[1:]),
                     *(kept.get(kind, "–") for kind in ("complete", "stopped", "redesigned"))])  # fmt: skip
    return rows


def _in_turns(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each step."""
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(rounds):
        for kind, step in steps.items():
            before = time.process_time()
            step()
            times[kind].append(time.process_time() - before)
    return {kind: statistics.median(seconds) for kind, seconds in times.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of turns per stage")
    parser.add_argument("--size", type=int, default=96, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=8, help="number of images")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "early_stop.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    heads = ["stage", *_KINDS, "memory, complete", "stopped", "redesigned"]
    table = readme.table(heads, measure(args.rounds, args.size, args.batch))
    text = _TEXT.format(batch=args.batch, size=args.size, rounds=args.rounds, machine=readme.machine(), table=table)
    args.output.write_text(text, encoding="utf-8")
