"""Script for `torchrun`: metrics of language models with different numbers of samples per process. torchrun … two_processes.py FOLDER"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from distill_nlp.metrics import EvaluateMetric, ExactMatch, Perplexity, TokenAgreement


class Flat:
    """The samples that a metric of `evaluate` gets, as numbers."""

    def compute(self, *, predictions, references):
        return {"first": predictions[0], "samples": len(predictions), "sum": (predictions * references).sum()}


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    target = torch.randint(9, (7, 4)).masked_fill(torch.arange(4) > torch.arange(7)[:, None], -100)
    student, teacher = torch.randn(7, 4, 9), torch.randn(7, 4, 9)
    teacher[:3] = torch.nn.functional.one_hot(target[:3].clamp(min=0), 9)  # the target completion
    own = slice(0, 2) if dist.get_rank() == 0 else slice(2, 7)
    perplexity, agreement, exact = Perplexity(), TokenAgreement(), ExactMatch()
    perplexity.update(student[own], target[own])
    agreement.update(student[own], teacher[own], target[own] != -100)
    exact.update(teacher[own].argmax(-1), target[own])
    hub = EvaluateMetric(Flat())
    if dist.get_rank() == 1:  # the other process has no samples
        hub.update(target[:, 0].float() + 1, target[:, 0])
    found = [metric.compute() for metric in (perplexity, agreement, exact, hub)]
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(found))
    if dist.get_rank() == 0:
        torch.save([student, teacher, target], folder / "batch.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
