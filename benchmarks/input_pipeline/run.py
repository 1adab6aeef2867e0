"""Benchmark of image preparation at 32×32 pixels: batches in memory against one image at a time."""

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

TEXT = """# Cost of preparing an image

Written by `python benchmarks/input_pipeline/run.py`. Images have 3×32×32 pixels, batches {batch} images, one process and one
thread. The pipelines take turns, {steps} batches each in random order, {rounds} rounds; a time is the CPU time of a
turn per image in microseconds. The minimum is the time without interference of other processes in the caches.

{table}

*Whole batch*: images are in memory as stored; a batch is gathered, augmented and normalised at once (as by `cifar10`). *One by
one*: a standard dataset with torchvision's `v2`, from PIL images or tensors, stacked by torch's collate function. Both are read through `distill_core.data.Loader`, which seeds every image.

{same}

{machine}
"""


class OneByOne(Dataset[tuple[Tensor, int]]):
    """A standard dataset: an image and its class, transformed when it is read."""

    def __init__(self, images: list[Any], targets: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self.images, self.targets, self.transform = images, targets.tolist(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.targets[index]


def build_pipelines(images: Tensor, targets: Tensor) -> dict[str, Batches]:
    """Return every pipeline by name."""
    pixels = Pixels(MEAN, STD)
    shared: Any = {"num_classes": 10, "batch_size": BATCH, "shuffle": True}
    augmentations = {
        "normalise": {},
        "crop, flip, normalise": {"augment": crop_and_flip},
        "the same and Cutout": {"augment": Compose([crop_and_flip, cutout])},
        "the same and Mixup": {"augment": crop_and_flip, "mix": Mixup()},
        "the same and CutMix": {"augment": crop_and_flip, "mix": CutMix()},
        "the same and RandAugment": {"augment": Compose([crop_and_flip, RandAugment()])},
    }
    pipelines = {
        f"whole batch: {name}": resident_loader(images, targets, pixels, **shared, **how).batches
        for name, how in augmentations.items()
    }
    pil = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    ends = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    moves = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    for kind, stored, begins in (("tensors", list(images), []), ("PIL", pil, [v2.ToImage()])):
        for name, steps in (("crop, flip, normalise", moves), ("the same and RandAugment", [*moves, v2.RandAugment()])):
            data = OneByOne(stored, targets, v2.Compose([*steps, *begins, *ends]))
            pipelines[f"one by one, {kind}: {name}"] = Loader(data, BATCH, shuffle=True).batches
    return pipelines


def measure(pipelines: dict[str, Batches], rounds: int, steps: int) -> dict[str, list[float]]:
    """Return microseconds of CPU time per image, for each pipeline and round."""
    times: dict[str, list[float]] = {name: [] for name in pipelines}
    for index in range(rounds):
        for name in random.sample(list(pipelines), len(pipelines)):
            batches = pipelines[name](SeedPath(epoch=index))
            next(batches)
            start = time.process_time()
            for _ in range(steps):
                next(batches)
            times[name].append((time.process_time() - start) / steps / BATCH * 1e6)
    return times


def same_pixels(images: Tensor) -> str:
    """Compare both pipelines with the same crops and flips, and return a sentence about it.

    Raises:
        AssertionError: The pixels differ.
    """
    from distill_vision.transforms import draw_integers, draw_uniform
    from distill_vision.transforms._draw import draw_bits

    seeds = torch.arange(len(images))
    crop, flip = (draw_bits(seeds, (1 << 32) + step) for step in (0, 1))
    top, left = (draw_integers(crop, draw, 9).tolist() for draw in (0, 1))
    mirrored = (draw_uniform(flip, 0) < 0.5).tolist()
    augmented = crop_and_flip(images, seeds)
    largest = 0.0
    for index, image in enumerate(images):
        pil = functional.pad(functional.to_pil_image(image), [4])
        one = functional.crop(pil, top[index], left[index], 32, 32)
        one = functional.pil_to_tensor(functional.horizontal_flip(one) if mirrored[index] else one)
        assert torch.equal(one, augmented[index])
        theirs = functional.normalize(functional.to_dtype(one, torch.float32, scale=True), list(MEAN), list(STD))
        ours = normalize(augmented[index : index + 1], mean=MEAN, std=STD)[0]
        largest = max(largest, float((theirs - ours).abs().max()))
    assert largest < 1e-6
    return (
        f"With the same crops and flips, {len(images)} images have identical pixels in both pipelines; "
        f"normalised they differ by at most {largest:.1e}, because torchvision divides by 255 first."
    )


def table(times: dict[str, list[float]]) -> str:
    """Format minimum and median of each pipeline."""
    lines = ["| pipeline | minimum | median |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {min(values):.1f} | {statistics.median(values):.1f} |" for name, values in times.items()]
    return "\n".join(lines)


def machine() -> str:
    """Describe the processor and the versions."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        processor = next(line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = "unknown processor"
    return f"Measured on: {processor}, torch {torch.__version__}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=8, help="batches per turn")
    parser.add_argument("--output", type=Path, default=HERE / "README.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.empty(1 << 22)  # as large as the tensors of training, so that the allocator keeps freed memory
    images = torch.randint(0, 256, (NUM, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    same = same_pixels(images[:512])
    written = table(measure(build_pipelines(images, torch.arange(NUM) % 10), args.rounds, args.steps))
    text = TEXT.format(batch=BATCH, steps=args.steps, rounds=args.rounds, table=written, same=same, machine=machine())
    args.output.write_text(text, encoding="utf-8")
    print(text)
