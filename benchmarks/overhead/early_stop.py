"""Benchmark of students whose forward ends behind the last tap; writes early_stop.md."""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import readme
import torch
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from distill_core.experiment import Term
from distill_core.losses import FitNetLoss, FSPLoss, GHNDLoss, HNDLoss
from distill_core.train import Distiller
from distill_vision.models import bottleneck_rcnn, bottleneck_resnet

Step = Callable[[], None]
_TEXT = """# Students that stop early

Written by `python benchmarks/overhead/early_stop.py`. Forward and backward of the student and forward of the teacher, {batch} images of
{size}×{size} pixels in float32, one process, one thread, in turns. CPU time is relative to the complete forward, the median over
{rounds} rounds. Memory is that of the tensors which the backward needs, without parameters, in MiB. `redesigned` is a model built to end there, as in torchdistill: an
`nn.Sequential` of the modules up to the last tap. In stage 1 of FT and KTAAD the student does not run at all; in stage 2 its output
is read, so nothing can be omitted.

{machine}

{table}
"""


def _stage(
    student: nn.Module, teacher: nn.Module, loss: nn.Module, taps: list[str], *, lists: bool, feed: Mapping[str, Any]
) -> tuple[nn.Module, nn.Module, Term, Mapping[str, Any]]:
    wired = {
        side: [f"{side}.{tap}" for tap in taps] if lists else f"{side}.{taps[0]}" for side in ("student", "teacher")
    }
    return student, teacher, Term(loss=loss, inputs=wired), feed


def stages() -> dict[str, tuple[nn.Module, nn.Module, Term, Mapping[str, Any]]]:
    """Return student, teacher, loss and feed of each method."""
    groups = ["layer1:in", "layer1", "layer2:in", "layer2", "layer3:in", "layer3", "layer4:in", "layer4"]
    split = bottleneck_resnet(copy.deepcopy(big := resnet50()), last="layer2")
    detector = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=128, max_size=128)
    body = [f"backbone.body.layer{number}" for number in range(1, 5)]
    boxes = {"teacher": {"images": "batch.input"}, "student": {"images": "batch.input", "targets": "batch.target"}}
    return {
        "FitNet, hint at layer1": _stage(resnet18(), resnet18(), FitNetLoss(), ["layer1"], lists=False, feed={}),
        "FSP, layer1 to layer4": _stage(resnet18(), resnet18(), FSPLoss(), groups, lists=True, feed={}),
        "HND, layer2": _stage(split, big, HNDLoss(), ["layer2"], lists=False, feed={}),
        "GHND, layer2 to layer4": _stage(copy.deepcopy(split), big, GHNDLoss(), ["layer2", "layer3", "layer4"], lists=True, feed={}),
        "GHND, Faster R-CNN": _stage(bottleneck_rcnn(copy.deepcopy(detector)), detector, GHNDLoss(), body, lists=True, feed=boxes),
    }  # fmt: skip


def _batch(size: int, batch: int, *, boxes: bool) -> dict[str, Any]:
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    if not boxes:
        return {"input": images}
    target = {"boxes": torch.tensor([[4.0, 4.0, size - 4.0, size - 8.0]]), "labels": torch.ones(1, dtype=torch.long)}
    return {"input": list(images.sigmoid()), "target": [target] * batch}


def _step(made: tuple[Any, ...], batch: dict[str, Any], *, stop: bool) -> Step:
    student, teacher, term, feed = made
    distiller = Distiller({"teacher": teacher.eval(), "student": student.train()}, {"loss": term}, ["student"], feed)
    distiller.set_stop(stop)
    distiller.attach()
    source = next(source for source in distiller.sources if source.name == "student")
    arguments, keywords = source.arguments(batch, {})
    source.capture.check_stop(*arguments, **keywords)

    def run() -> None:
        (total,), _ = distiller(batch, {"loss": 1.0})
        total.backward()
        student.zero_grad()

    return run


def _redesigned(made: tuple[Any, ...], batch: dict[str, Any]) -> Step | None:
    """Return the step of a student and a teacher that end behind the last tap; None for a detector."""
    student, teacher, term, feed = made
    if feed:
        return None
    wired = term.inputs["student"]
    taps = [tap.partition(".")[2] for tap in ([wired] if isinstance(wired, str) else wired)]
    last = taps[-1]
    parts: list[tuple[nn.Sequential, dict[str, Tensor]]] = []
    for model in (student, teacher):
        children, kept = dict(model.named_children()), dict[str, Tensor]()
        names = list(children)[: list(children).index(last) + 1]
        for name in names:
            children[name].register_forward_hook(_keep(kept, name))
        parts.append((nn.Sequential(*(children[name] for name in names)), kept))

    def run() -> None:
        with torch.no_grad():
            parts[1][0](batch["input"])
        parts[0][0](batch["input"])
        given = [[kept[tap] for tap in taps] for _, kept in parts]
        term.loss(*(values if len(taps) > 1 else values[0] for values in given)).backward()
        student.zero_grad()

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
    """Return a row for each method."""
    rows = []
    for name, made in stages().items():
        data = _batch(size, batch, boxes=bool(made[3]))
        steps = {
            "complete": _step(copy.deepcopy(made), data, stop=False),
            "stopped": _step(copy.deepcopy(made), data, stop=True),
        }
        if (redesigned := _redesigned(copy.deepcopy(made), data)) is not None:
            steps["redesigned"] = redesigned
        for step in steps.values():
            step()
        kept = {kind: _kept_for_backward(step) for kind, step in steps.items()}
        times: dict[str, list[float]] = {kind: [] for kind in steps}
        for _ in range(rounds):
            for kind, step in steps.items():
                before = time.process_time()
                step()
                times[kind].append(time.process_time() - before)
        first = statistics.median(times["complete"])
        shown = {kind: f"{statistics.median(values) / first:.2f}" for kind, values in times.items()}
        rows.append([name, f"{first * 1e3:.0f} ms", shown["stopped"], shown.get("redesigned", "–"),
                     *(f"{kept[kind]:.1f}" if kind in kept else "–" for kind in ("complete", "stopped", "redesigned"))])  # fmt: skip
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of turns per stage")
    parser.add_argument("--size", type=int, default=96, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=8, help="number of images")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "early_stop.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    heads = ["stage", "complete", "stopped", "redesigned", "memory, complete", "stopped", "redesigned"]
    table = readme.table(heads, measure(args.rounds, args.size, args.batch))
    text = _TEXT.format(batch=args.batch, size=args.size, rounds=args.rounds, machine=readme.machine(), table=table)
    args.output.write_text(text, encoding="utf-8")
