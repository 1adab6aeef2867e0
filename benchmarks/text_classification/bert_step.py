"""The training step of a tiny BERT in a plain loop and in this project's trainer, and the padding of batches."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lanes import Loop, Tick, race, ratios
from torch import nn

from distill_core.data import Loader, SeedPath, TensorData
from distill_core.train import Callback, Experiment, Stage, Term, Trainer
from distill_nlp.models import tiny_bert

BATCH, LENGTH, SAMPLES, LR, LOG_EVERY = 32, 32, 640, 1.0e-4, 50
WORDS = 30_522


def data() -> dict[str, torch.Tensor]:
    """Return texts of random words."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, WORDS, (SAMPLES, LENGTH), generator=generator)
    target = torch.randint(2, (SAMPLES,), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "target": target}


def bert() -> nn.Module:
    """Build BERT-Tiny without dropout, so that all loops end with the same weights."""
    torch.manual_seed(0)
    return tiny_bert(vocab_size=WORDS, dropout=0.0)


def plain(model: nn.Module) -> Loop:
    """Run the loop of transformers' documentation: the model's own loss, torch's AdamW."""

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        tensors = data()
        while True:
            for index in torch.arange(SAMPLES).split(BATCH):
                yield {name: tensor.index_select(0, index) for name, tensor in tensors.items()}

    def loop(tick: Tick) -> None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
        model.train()
        running = torch.zeros(())
        for step, batch in enumerate(batches(), start=1):
            output: Any = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["target"]
            )
            output.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            running += output.loss.detach()
            if step % LOG_EVERY == 0:
                running.item()
                running.zero_()
            tick()

    return loop


class _Ticks(Callback):
    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def on_step_end(self, trainer: Trainer) -> None:  # noqa: ARG002 - the signature of a callback
        self.tick()


def distill(model: nn.Module, **options: Any) -> Loop:
    """Run this project's trainer, with further options of AdamW."""

    def loop(tick: Tick) -> None:
        term = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student:out.logits", "target": "batch.target"})
        stage = Stage(
            epochs=10**6,
            losses={"ce": term},
            optimizer=lambda groups: torch.optim.AdamW(groups, lr=LR, **options),
            feed={"student": {"input_ids": "batch.input_ids", "attention_mask": "batch.attention_mask"}},
        )
        loader = Loader(TensorData(data()), BATCH)
        experiment = Experiment(models={"student": model}, data={"train": loader}, stages=[stage], log_every=LOG_EVERY)
        Trainer(experiment, callbacks=[_Ticks(tick)], progress=False).fit()

    return loop


def steps(rounds: int) -> dict[str, tuple[float, float, float]]:
    """Return the time of a step of each loop relative to the plain one.

    Raises:
        AssertionError: The loops have not come to the same weights.
    """
    models = {name: bert() for name in ("plain", "the same AdamW", "fused AdamW")}
    racing = {
        "plain": plain(models["plain"]),
        "the same AdamW": distill(models["the same AdamW"], foreach=False, fused=False),
        "fused AdamW": distill(models["fused AdamW"], fused=True),
    }
    times = race(racing, 2, rounds)
    for model in models.values():
        torch.testing.assert_close(model.state_dict(), models["plain"].state_dict(), rtol=1e-2, atol=1e-4)
    return {name: ratios(times[name], times["plain"]) for name in racing if name != "plain"}


def updates(rounds: int) -> dict[str, float]:
    """Return the CPU time of the optimizer of each loop, relative to a complete step of the plain loop."""
    optimizers = {"the same AdamW": {"foreach": False, "fused": False}, "fused AdamW": {"fused": True}}
    model, seconds = bert(), {name: list[float]() for name in (*optimizers, "plain")}
    batch = {name: tensor[:BATCH] for name, tensor in data().items()}
    made = {name: torch.optim.AdamW(model.parameters(), lr=LR, **options) for name, options in optimizers.items()}
    for _ in range(rounds):
        begin = time.process_time()
        output: Any = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["target"]
        )
        output.loss.backward()
        seconds["plain"].append(time.process_time() - begin)
        for name, optimizer in made.items():
            begin = time.process_time()
            optimizer.step()
            seconds[name].append(time.process_time() - begin)
        model.zero_grad()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    whole = medians["plain"] + medians["the same AdamW"]
    return {name: medians[name] / whole for name in optimizers}


def real_tokens() -> dict[str, float]:
    """Return the fraction of tokens that are not padding by kind of loader, over an epoch of SST-2 in batches of 32."""
    from distill_nlp.data import glue
    from distill_nlp.tokenizers import glue_wordpiece

    tokenizer = glue_wordpiece("sst2")
    shares = {}
    for name, grouped in (("padded to the longest of a batch", False), ("grouped by length, too", True)):
        loader = glue("sst2", "train", tokenizer=tokenizer, batch_size=BATCH, group_by_length=grouped)
        lengths = loader.dataset.lengths
        stretches = loader.plan(SeedPath(seed=0, stage=0, epoch=1)).indices
        padded = sum(int(lengths[index].max()) * len(index) for index in stretches)
        shares[name] = float(lengths.sum()) / padded
    return shares


def write(
    path: Path, times: dict[str, tuple[float, float, float]], alone: dict[str, float], shares: dict[str, float]
) -> None:
    """Write the tables as Markdown."""
    lines = [
        f"A training step of BERT-Tiny (2 layers, width 128, {WORDS:,} tokens; batch {BATCH}, length {LENGTH}) relative to the",
        "plain loop of transformers with torch's AdamW, with the same batches. The loops alternate in one process and",
        f"end with the same weights. CPU time, median over the rounds, quartiles in brackets; load {os.getloadavg()[0]:.0f}.",
        "",
        "| Distill with | ratio | of which the optimizer |",
        "| --- | ---: | ---: |",
        *(
            f"| {name} | {middle:.3f} ({first:.3f}–{third:.3f}) | {alone[name]:.2f} |"
            for name, (first, middle, third) in times.items()
        ),
        "",
        "The rest is forward and backward, which do not depend on the optimizer. The faster a machine multiplies matrices, the more",
        "the fused optimizer saves.",
        "",
        f"Fraction of tokens that are not padding, for an epoch of SST-2's training set in batches of {BATCH}:",
        "",
        "| batches | real tokens |",
        "| --- | ---: |",
        *(f"| {name} | {100 * share:.1f} % |" for name, share in shares.items()),
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
