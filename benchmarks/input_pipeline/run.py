"""What it costs to prepare an image of 32×32 pixels: whole batches in memory beside one image after the other."""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from distill_core.data import Loader, SeedPath
from distill_vision.data import Pixels, resident_loader
from distill_vision.transforms import Compose, CutMix, Mixup, RandAugment, crop_and_flip, cutout, normalize

HERE = Path(__file__).resolve().parent
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
NUM, BATCH = 4096, 128

Batches = Callable[[SeedPath], Iterator[dict[str, Any]]]

TEXT = """# What it costs to prepare an image

Written by `python benchmarks/input_pipeline/run.py`. Images have 3×32×32 pixels, batches {batch} images, one process and one
thread do all. The ways take turns, {steps} batches each in an order by chance, {rounds} rounds; a time is the CPU time of a
turn divided by its images, in millionths of a second. The least is what it takes when nobody else is at the machine's caches.

{table}

*Whole batch*: images lie in memory as they are stored, a batch is gathered, augmented and normalised at once (`cifar10` and
its like do this). *One by one*: the usual data set with torchvision's `v2`, from PIL images or from tensors, stacked by
torch's collate function. Both are read through `distill_core.data.Loader`, which seeds every image.

{same}

{machine}
"""


class OneByOne(Dataset[tuple[Tensor, int]]):
    """The usual data set: an image and its class, transformed when it is read."""

    def __init__(self, images: list[Any], targets: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self.images, self.targets, self.transform = images, targets.tolist(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.targets[index]


def ways(images: Tensor, targets: Tensor) -> dict[str, Batches]:
    """Every way by name."""
    pixels = Pixels(MEAN, STD)
    shared: Any = {"num_classes": 10, "batch_size": BATCH, "shuffle": True}
    whole = {
        "normalise": {},
        "crop, flip, normalise": {"augment": crop_and_flip},
        "the same and Cutout": {"augment": Compose([crop_and_flip, cutout])},
        "the same and Mixup": {"augment": crop_and_flip, "mix": Mixup()},
        "the same and CutMix": {"augment": crop_and_flip, "mix": CutMix()},
        "the same and RandAugment": {"augment": Compose([crop_and_flip, RandAugment()])},
    }
    found = {
        f"whole batch: {name}": resident_loader(images, targets, pixels, **shared, **how).batches
        for name, how in whole.items()
    }
    pil = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    ends = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    moves = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    for kind, stored, begins in (("tensors", list(images), []), ("PIL", pil, [v2.ToImage()])):
        for name, steps in (("crop, flip, normalise", moves), ("the same and RandAugment", [*moves, v2.RandAugment()])):
            data = OneByOne(stored, targets, v2.Compose([*steps, *begins, *ends]))
            found[f"one by one, {kind}: {name}"] = Loader(data, BATCH, shuffle=True).batches
    return found


def measure(found: dict[str, Batches], rounds: int, steps: int) -> dict[str, list[float]]:
    """Microseconds of CPU time an image, a number for each way and round."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds):
        for name in random.sample(list(found), len(found)):
            batches = found[name](SeedPath(epoch=number))
            next(batches)
            start = time.process_time()
            for _ in range(steps):
                next(batches)
            times[name].append((time.process_time() - start) / steps / BATCH * 1e6)
    return times


def same_pixels(images: Tensor) -> str:
    """Compare the two ways, given where each image is cut and whether it is mirrored.

    Raises:
        AssertionError: They differ.
    """
    from distill_vision.transforms import draw_integers, draw_uniform
    from distill_vision.transforms._draw import draw_bits

    seeds = torch.arange(len(images))
    crop, flip = (draw_bits(seeds, (1 << 32) + step) for step in (0, 1))
    top, left = (draw_integers(crop, draw, 9).tolist() for draw in (0, 1))
    mirrored = (draw_uniform(flip, 0) < 0.5).tolist()
    made = crop_and_flip(images, seeds)
    largest = 0.0
    for number, image in enumerate(images):
        pil = functional.pad(functional.to_pil_image(image), [4])
        one = functional.crop(pil, top[number], left[number], 32, 32)
        one = functional.pil_to_tensor(functional.horizontal_flip(one) if mirrored[number] else one)
        assert torch.equal(one, made[number])
        theirs = functional.normalize(functional.to_dtype(one, torch.float32, scale=True), list(MEAN), list(STD))
        ours = normalize(made[number : number + 1], mean=MEAN, std=STD)[0]
        largest = max(largest, float((theirs - ours).abs().max()))
    assert largest < 1e-6
    return (
        f"Cut at the same places and mirrored alike, {len(images)} images have the same pixels both ways, bit for bit; "
        f"normalised they differ by at most {largest:.1e}, because torchvision divides by 255 first."
    )


def table(times: dict[str, list[float]]) -> str:
    """Least and median of each way."""
    lines = ["| way | least | median |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {min(values):.1f} | {statistics.median(values):.1f} |" for name, values in times.items()]
    return "\n".join(lines)


def machine() -> str:
    """The processor and the versions."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        processor = next(line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = "unknown processor"
    return f"Measured on: {processor}, torch {torch.__version__}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=8, help="batches of a turn")
    parser.add_argument("--output", type=Path, default=HERE / "README.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.empty(1 << 22)  # as large as a training's tensors: from then on the allocator keeps what is freed
    images = torch.randint(0, 256, (NUM, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    same = same_pixels(images[:512])
    written = table(measure(ways(images, torch.arange(NUM) % 10), args.rounds, args.steps))
    text = TEXT.format(batch=BATCH, steps=args.steps, rounds=args.rounds, table=written, same=same, machine=machine())
    args.output.write_text(text, encoding="utf-8")
    print(text)
