"""Updates of a loss from batches cut in any way, by the trainer's own shares; by `torchrun` with a file as argument.

    torchrun --standalone --nproc-per-node 2 -m core.train.parallel.cuts OUTPUT      (PYTHONPATH=tests)

Writes OUTPUT.<rank>.json: case → the greatest difference from one process that sees one batch.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.data import BatchPlan
from distill_core.experiment import Term
from distill_core.train.step._loss_meter import LossMeter
from distill_core.train.step._loss_scale import LossScales, scaled_backward
from distill_nlp.losses import (
    HiddenCosineLoss,
    MiniLMLoss,
    MiniLMv2Loss,
    PatientKDLoss,
    ScoreLoss,
    SentenceEmbeddingLoss,
    SimilarityLoss,
    TinyBERTAttentionLoss,
    TinyBERTAttentionMapLoss,
    TinyBERTHiddenLoss,
)

from ...losses.cases import apply, samples, table

SAMPLES = 8
CUTS = [(2, 2, 2, 2), (4, 4), (3, 5), (2, 4, 2), (5, 1, 2)]
FOR_TWO = [(2, 2, 2, 2), (4, 4), (3, 5), (8,)]
"""Cuts for two processes: each part has a sample for both."""


class InPairs(SimilarityLoss):  # type: ignore[misc]
    """The two texts of a sample are the first four tokens of each and the last four, so that samples can be cut."""

    def forward(self, student: Tensor, target: Tensor) -> Tensor:
        return super().forward(torch.stack([student[:, :4], student[:, 1:]], 1).flatten(0, 1), target)


@dataclass(frozen=True)
class Cut:
    """A loss and its inputs, float64."""

    name: str
    loss: Callable[[], Any]
    inputs: dict[str, Any]
    says: str | None = None

    def term(self, loss: Any) -> Term:
        return Term(loss=loss, inputs={name: f"batch.{name}" for name in self.inputs}, averages_over=self.says)


def of_table() -> list[Cut]:
    """The losses of the product, with random masks in the place of their own."""
    cuts = []
    for case in table():
        if case.splits and case.permutes:
            inputs = apply(Tensor.double, case.draw(SAMPLES))
            if "mask" in inputs and getattr(case.loss(), "batch", "") == "token":
                mask = inputs["mask"]
                inputs["mask"] = [drawn(m) for m in mask] if isinstance(mask, list) else drawn(mask)
            cuts.append(Cut(case.name, lambda case=case: case.ready().double(), inputs))
    return cuts


def drawn(mask: Tensor) -> Tensor:
    """A mask of the same shape; in the first two samples nothing counts."""
    counted = torch.rand(mask.shape, generator=torch.Generator().manual_seed(5)) < 0.6
    counted[:2] = False
    return counted


def of_torch() -> list[Cut]:
    """The losses of torch with labels that are ignored, weights of classes, sums; as modules and as functions."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(SAMPLES, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (SAMPLES, 6), generator=generator)
    hidden = torch.rand(labels.shape, generator=generator) < 0.5
    hidden[:2] = True  # the first samples have no label at all
    weight = torch.tensor([0.1, 2.0, 1.0, 0.5, 4.0], dtype=torch.float64)
    soft = torch.rand(logits.shape, generator=generator, dtype=torch.float64).softmax(1)
    classes = {"input": logits, "target": labels.masked_fill(hidden, -100)}
    pixels = {"input": logits, "target": labels.masked_fill(hidden, 255)}
    both, log = {"input": logits, "target": soft}, logits.log_softmax(1)
    plain: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "ce": (nn.CrossEntropyLoss, classes),
        "ce-255": (lambda: nn.CrossEntropyLoss(ignore_index=255), pixels),
        "ce-weight": (lambda: nn.CrossEntropyLoss(weight=weight), classes),
        "ce-smooth": (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), classes),
        "ce-smooth-weight-255": (lambda: nn.CrossEntropyLoss(weight, ignore_index=255, label_smoothing=0.1), pixels),
        "ce-sum": (lambda: nn.CrossEntropyLoss(reduction="sum"), classes),
        "ce-soft": (lambda: nn.CrossEntropyLoss(weight=weight), both),
        "nll": (lambda: nn.NLLLoss(weight, ignore_index=255), {**pixels, "input": log}),
        "bce": (lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)), both),
        "bce-sum": (lambda: nn.BCELoss(reduction="sum"), {"input": logits.sigmoid(), "target": soft}),
        "mse": (nn.MSELoss, both),
        "huber": (nn.HuberLoss, both),
        "kl-batchmean": (lambda: nn.KLDivLoss(reduction="batchmean"), {"input": log, "target": soft}),
        "multi-margin": (nn.MultiMarginLoss, {"input": logits[:, :, 0], "target": labels[:, 0]}),
        "F.cross_entropy": (lambda: F.cross_entropy, classes),
        "F.cross_entropy-255": (lambda: partial(F.cross_entropy, ignore_index=255, weight=weight), pixels),
        "F.mse_loss-sum": (lambda: partial(F.mse_loss, reduction="sum"), both),
    }
    return [Cut(name, loss, inputs) for name, (loss, inputs) in plain.items()]


def of_users() -> list[Cut]:
    """Losses of somebody's own: one that says nothing, with a term that does, and one that counts."""

    def mine(input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
        return (input - target).square().mean()

    def masked(input: Tensor, mask: Tensor) -> Tensor:  # noqa: A002
        return (input * mask).sum() / mask.sum().clamp(min=1)

    class Counting(nn.Module):
        def forward(self, input: Tensor, mask: Tensor) -> Tensor:  # noqa: A002
            return masked(input, mask)

        @staticmethod
        def count(mask: Tensor) -> Tensor:
            return mask.sum()

    generator = torch.Generator().manual_seed(4)
    values, target = torch.randn(2, SAMPLES, 4, generator=generator, dtype=torch.float64)
    mask = drawn(values)
    return [
        Cut("mine", lambda: mine, {"input": values, "target": target}, says="samples"),
        Cut("masked", lambda: masked, {"input": values, "mask": mask}, says="batch.mask"),
        Cut("counting", Counting, {"input": values, "mask": mask}),
    ]


def of_texts() -> list[Cut]:
    """The losses of distill_nlp: tokens and pairs of tokens that count in some samples only."""
    generator = torch.Generator().manual_seed(6)

    def hidden(number: int, rows: int = SAMPLES) -> Any:
        return list(torch.randn(number, rows, 5, 8, generator=generator, dtype=torch.float64))

    def sides(number: int) -> dict[str, Any]:
        return {"student": hidden(number), "teacher": hidden(number)}

    def maps() -> list[Tensor]:
        return list(torch.randn(2, SAMPLES, 2, 5, 5, generator=generator, dtype=torch.float64))

    mask = {"mask": drawn(torch.ones(SAMPLES, 5))}
    one = {name: tensors[0] for name, tensors in sides(1).items()}
    scores = torch.rand(SAMPLES, generator=generator, dtype=torch.float64)
    plain: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "HiddenCosineLoss": (HiddenCosineLoss, one | mask),
        "HiddenCosineLoss-all": (HiddenCosineLoss, one),
        "MiniLMLoss": (lambda: MiniLMLoss(2), sides(3) | mask),
        "MiniLMv2Loss": (lambda: MiniLMv2Loss(4), sides(3) | mask),
        "PatientKDLoss": (PatientKDLoss, sides(2)),
        "ScoreLoss": (ScoreLoss, {"student": hidden(1)[0][:, 0, :1], "target": scores}),
        "SentenceEmbeddingLoss": (lambda: SentenceEmbeddingLoss(8, 8), one | mask),
        "SimilarityLoss": (InPairs, {"student": hidden(1)[0], "target": scores}),
        "TinyBERTAttentionLoss": (lambda: TinyBERTAttentionLoss(2), sides(4) | mask),
        "TinyBERTAttentionMapLoss": (TinyBERTAttentionMapLoss, {"student": maps(), "teacher": maps()} | mask),
        "TinyBERTHiddenLoss": (lambda: TinyBERTHiddenLoss(8, 8), sides(2) | mask),
    }

    def made(make: Callable[[], Any]) -> Any:
        torch.manual_seed(7)
        return make().double()

    return [Cut(name, partial(made, make), inputs) for name, (make, inputs) in plain.items()]


def every() -> list[Cut]:
    return [*of_table(), *of_torch(), *of_users(), *of_texts()]


def relates(cut: Cut) -> bool:
    """Whether the loss compares samples, so that it depends on the cut."""
    known = LossScales({"loss": cut.term(cut.loss())}).normalisers["loss"]
    assert known.unit != "unknown", cut.name
    return known.depends_on_batch


def update_of(cut: Cut, sizes: Sequence[int]) -> list[Tensor]:
    """[the loss that is logged, gradients to a shift of the first input that all samples share and to the loss's own].

    Args:
        cut: The loss.
        sizes: How many samples all processes have in each batch.
    """
    ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    first = "student" if "student" in cut.inputs else next(iter(cut.inputs))
    shifts = [x.new_zeros(x.shape[1:], requires_grad=True) for x in flat(cut.inputs[first])]
    loss = cut.loss()
    indices = [part.tensor_split(ranks)[rank] for part in torch.arange(SAMPLES).split(list(sizes))]
    plan, shares, means = BatchPlan(indices, list(sizes)), LossScales({"loss": cut.term(loss)}), LossMeter(["loss"])

    def backward(batch: Any, weights: Any, share: float, *, last: bool, given: Any) -> Any:
        left = iter(shifts)
        value = loss(**{**batch, first: apply(lambda x: x + next(left), batch[first])})
        (value * weights["loss"] * share).backward()
        return value.detach() * weights["loss"], {"loss": value.detach()}

    batches = (samples(cut.inputs, index) for index in indices)
    pairs = shares.of_batches(batches, plan, 0, len(sizes), lambda *_: ({}, {}))
    for number, (batch, share) in enumerate(pairs):
        torch.manual_seed(2)
        total, terms = scaled_backward(backward, batch, {"loss": 1.0}, share, last=True)
        means.add(number, len(indices[number]), total, terms)
    leaves = [*shifts, *(loss.parameters() if isinstance(loss, nn.Module) else ())]
    gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    for gradient in gradients if ranks > 1 else ():
        dist.all_reduce(gradient.div_(ranks))
    return [torch.tensor(means.flush().loss), *gradients]


def flat(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    apply(lambda tensor: found.append(tensor) or tensor, value)
    return found


def difference(ours: list[Tensor], others: list[Tensor]) -> float:
    """The greatest difference, relative to the greatest number where that is above 1."""
    pairs = zip(ours, others, strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in pairs if a.numel())


def main(output: str) -> None:
    cuts = [cut for cut in every() if not relates(cut)]
    wholes = [update_of(cut, (SAMPLES,)) for cut in cuts]
    dist.init_process_group("gloo")
    found = {}
    for cut, whole in zip(cuts, wholes, strict=True):
        found[cut.name] = max(difference(update_of(cut, sizes), whole) for sizes in FOR_TWO)
    Path(f"{output}.{dist.get_rank()}.json").write_text(json.dumps(found))
    gc.collect()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
