"""Run by `torchrun` with two processes: trains decoders with `parallel: fsdp` and saves the student for transformers.

torchrun --nproc-per-node 2 two_processes.py FOLDER
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parent.parent))
from conftest import make_decoder

from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment, Stage, Term
from distill_core.losses import ForwardKLLoss
from distill_core.train import Trainer
from distill_nlp.models import SavePretrained

INPUTS = {"student": "student:out.logits", "teacher": "teacher:out.logits"}


def main(folder: Path) -> None:
    for family in ("llama", "qwen3", "gemma3"):
        for shard in ("teacher", "student"):
            models = {name: make_decoder(family, use_cache=False) for name in ("teacher", "student")}
            with torch.no_grad():
                [parameter.mul_(0.9) for parameter in models["student"].parameters()]
            tokens = torch.randint(3, 97, (8, 6), generator=torch.Generator().manual_seed(0))
            stage = Stage(
                epochs=1,
                losses={"kl": Term(loss=ForwardKLLoss(), inputs=INPUTS)},
                optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1),
                feed={name: {"input_ids": "batch.input_ids"} for name in models},
            )
            experiment = Experiment(
                models=models, data={"train": Loader(TensorData({"input_ids": tokens}), 2)}, stages=[stage],
                callbacks=[SavePretrained()], parallel="fsdp", shard=[shard],
            )  # fmt: skip
            trainer = Trainer(experiment, output=folder / f"{family}-{shard}")
            trainer.fit()
    del trainer, experiment, models, stage
    gc.collect()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
