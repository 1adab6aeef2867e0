"""Benchmark of losses over a vocabulary against `F.kl_div` of two log-softmaxes; writes vocabulary.md."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import memory
import readme
import torch
import torch.nn.functional as F
from torch import Tensor

from distill_core import losses

TOKENS, WORDS, ENTRIES = 512, 128_256, 64
Step = Callable[[], None]
Others = Callable[[Tensor, Tensor], Mapping[str, Callable[[], Tensor]]]
_TEXT = """# Losses over a vocabulary

Written by `python benchmarks/overhead/vocabulary.py`. Forward and backward of {tokens} tokens × {words:,} words in float32, one
process, one thread, in turns. CPU time is relative to `F.kl_div` of two log-softmaxes, the median over {rounds} rounds. Memory is the
peak beyond the logits, in tensors of the size of the student's logits; one of them is the gradient.

{machine}

{table}
"""


def steps(
    tokens: int = TOKENS, words: int = WORDS, *, device: str = "cpu", others: Others | None = None
) -> dict[str, Step]:
    """Return the forward and backward pass of each loss on the same logits, the reference first.

    Args:
        tokens: Number of tokens.
        words: Size of the vocabulary.
        device: Device of the logits.
        others: From the logits of student and teacher to further losses of them, by name.
    """
    torch.manual_seed(0)
    student = torch.randn(tokens, words, device=device, requires_grad=True)
    teacher = torch.randn(tokens, words, device=device)
    half = (torch.arange(tokens, device=device) < tokens // 2)[None]
    top = teacher.log_softmax(-1).topk(min(ENTRIES, words))

    def reference() -> Tensor:
        p, q = F.log_softmax(teacher, -1), F.log_softmax(student, -1)
        return F.kl_div(q, p, log_target=True, reduction="batchmean")

    def of(loss: torch.nn.Module, **given: Tensor) -> Callable[[], Tensor]:
        return lambda: loss(student[None], **({"teacher": teacher[None]} | given))

    values = {
        "F.kl_div": reference,
        "ForwardKLLoss": of(losses.ForwardKLLoss()),
        "ForwardKLLoss, half of the tokens masked": of(losses.ForwardKLLoss(), mask=half),
        "ReverseKLLoss": of(losses.ReverseKLLoss()),
        "GeneralisedJSDLoss": of(losses.GeneralisedJSDLoss()),
        "SkewedKLLoss": of(losses.SkewedKLLoss()),
        "SkewedReverseKLLoss": of(losses.SkewedReverseKLLoss()),
        "ABKDLoss": of(losses.ABKDLoss()),
        "AKLLoss": of(losses.AKLLoss()),
        f"TopKKLLoss, {ENTRIES} entries": of(losses.TopKKLLoss(), teacher=top.values[None], index=top.indices[None]),
        **(others(student, teacher) if others else {}),
    }

    def step(value: Callable[[], Tensor]) -> Step:
        def run() -> None:
            value().backward()
            student.grad = None

        return run

    return {name: step(value) for name, value in values.items()}


def measure(rounds: int, tokens: int = TOKENS, words: int = WORDS) -> dict[str, tuple[float, float]]:
    """Return for each loss the CPU time relative to the reference, and its peak memory in tensors of the logits.

    Args:
        rounds: Number of turns; the median of the ratios counts.
        tokens: Number of tokens.
        words: Size of the vocabulary.
    """
    made = steps(tokens, words)
    size = tokens * words * 4 / 2**20
    peaks = {name: memory.peak_of(step) / size for name, step in made.items()}
    ratios: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        times = {name: _seconds(step) for name, step in made.items()}
        first = next(iter(times.values()))
        for name, seconds in times.items():
            ratios[name].append(seconds / first)
    return {name: (statistics.median(values), peaks[name]) for name, values in ratios.items()}


def _seconds(step: Step) -> float:
    before = time.process_time()
    step()
    return time.process_time() - before


def write(path: Path, rounds: int, tokens: int, words: int) -> None:
    """Measure and write the page."""
    results = measure(rounds, tokens, words)
    rows = [[name, f"{ratio:.2f}", f"{peak:.2f}"] for name, (ratio, peak) in results.items()]
    table = readme.table(["loss", "CPU time", "memory"], rows)
    text = _TEXT.format(tokens=tokens, words=words, rounds=rounds, machine=readme.machine(), table=table)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of turns per loss")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--words", type=int, default=WORDS, help="size of the vocabulary")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "vocabulary.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    write(args.output, args.rounds, args.tokens, args.words)
