"""Trains a model of two classes on two forked processes, which writes its predictions for GLUE's test, with `ddp` and `fsdp`.

two_processes.py FOLDER      reads FOLDER/SST-2, writes FOLDER/ddp/SST-2.tsv and FOLDER/fsdp/SST-2.tsv
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork

import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._inductor.lowering  # takes seconds, and every process needs it
from torch import Tensor, multiprocessing, nn

from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Trainer
from distill_nlp.data import glue
from distill_nlp.predictions import WriteGluePredictions
from distill_nlp.tokenizers import wordpiece


class Lengths(nn.Module):
    """Predicts class 1 for texts longer than four tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 2)
        with torch.no_grad():
            self.line.weight.copy_(torch.tensor([[-1.0], [1.0]]))
            self.line.bias.copy_(torch.tensor([4.5, -4.5]))

    def forward(self, attention_mask: Tensor) -> Tensor:
        preds: Tensor = self.line(attention_mask.sum(1, keepdim=True).float())
        return preds


def train(rank: int, folder: Path, parallel: str, words: Any, port: int) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    train, test = (glue("sst2", split, tokenizer=words, batch_size=2, root=folder) for split in ("train", "test"))
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    stage = Stage(
        epochs=1, optimizer=partial(torch.optim.SGD, lr=1e-6), losses={"ce": ce},
        feed={"student": {"attention_mask": "batch.attention_mask"}},
    )  # fmt: skip
    callback = WriteGluePredictions("sst2", test, preds="student", folder=folder / parallel)
    experiment = Experiment(
        models={"student": Lengths()}, data={"train": train}, stages=[stage], callbacks=[callback],
        parallel=parallel, timeout=20,
    )  # fmt: skip
    Trainer(experiment, progress=False).fit()


if __name__ == "__main__":
    words = wordpiece(texts=["a girl", "a film", "the film is a delight", "the plot is a mess"] * 9, vocab_size=400)
    for parallel in ("ddp", "fsdp"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        multiprocessing.start_processes(
            train, (Path(sys.argv[1]), parallel, words, port), nprocs=2, start_method="fork"
        )
