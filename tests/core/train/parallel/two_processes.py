"""Run by `torchrun`: trains a small student and writes what came out, from one process or from several.

torchrun --nproc-per-node N two_processes.py FOLDER BATCH_SIZE ddp|fsdp|fsdp-teacher|deepspeed STEP DECAY

At STEP, if it is not 0, the run is interrupted; called again it goes on.
"""

from __future__ import annotations

import gc
import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.tensor import DTensor

from distill_core.data import Loader, TensorData
from distill_core.distributed import sum_over_processes
from distill_core.train import Callback, Checkpoint, Evaluate, Experiment, Metric, Stage, Term, Trainer


class Stop(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.state.step == self.step:
            trainer.save()
            raise KeyboardInterrupt


class Drawn(Callback):
    """Writes the initial values of the lazy loss, as each process has drawn them."""

    def on_stage_start(self, trainer: Trainer) -> None:
        if trainer.state.stage == 0 and trainer.state.step == 0:
            rank = trainer.accelerator.process_index
            save_file(trainer.stage.losses["hint"].loss.state_dict(), trainer.output / f"drawn-{rank}.safetensors")


class TopOne:
    def reset(self) -> None:
        self.counts = torch.zeros(2)

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        self.counts += torch.tensor([float((preds.argmax(1) == target).sum()), float(len(target))])

    def compute(self) -> float:
        right, seen = sum_over_processes(self.counts).tolist()
        return 100 * right / seen


class Hint(nn.Module):
    reduction_scope = "sample"

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.LazyLinear(12)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        assert type(student) is type(teacher) is torch.Tensor  # taps are plain, however the model is spread
        return nn.functional.mse_loss(self.map(student), teacher)


def samples(count: int, seed: int) -> TensorData:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return TensorData({"input": inputs, "target": inputs[:, :3].argmax(1)})


def main(folder: Path, batch_size: int, parallel: str = "ddp", stop: int = 0, decay: float = 0.01) -> None:
    torch.manual_seed(0)
    models = {
        "teacher": nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)),
        "student": nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)),
    }
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    hint = Term(loss=Hint(), inputs={"student": "student.1", "teacher": "teacher.1"})
    val = Loader(samples(13, 1), 3)
    metrics = {"top1": Metric(metric=TopOne(), inputs={"preds": "student", "target": "batch.target"})}
    optimizer = partial(torch.optim.SGD, lr=0.5, momentum=0.9, weight_decay=decay)
    stages = [
        Stage(epochs=1, losses={"hint": hint}, optimizer=optimizer, train=["student", "losses"]),
        Stage(epochs=2, losses={"ce": ce, "hint": hint}, train=["student"], accumulate=2, clip_grad_norm=0.5),
    ]
    data = {"train": Loader(samples(45, 0), batch_size, shuffle=True)}
    sharded = {"fsdp": ["student", "teacher"], "fsdp-teacher": ["teacher"]}.get(parallel, [])
    experiment = Experiment(
        models=models,
        data=data,
        stages=stages,
        callbacks=[Evaluate(val, metrics), Checkpoint(best="top1")],
        log_every=2,
        ema={"student": 0.5},
        parallel=parallel.partition("-")[0],
        shard=sharded,
    )
    trainer = Trainer(experiment, output=folder, callbacks=[Stop(stop), Drawn()])
    try:
        results = trainer.fit(resume=(folder / "checkpoints" / "latest").is_file())
    except KeyboardInterrupt:
        results = {"last": None}
    for name, model in models.items():
        expected = name.removesuffix("_ema") in sharded
        assert {isinstance(tensor, DTensor) for tensor in model.parameters()} == {expected}, name
    if trainer.is_main and results["last"]:
        final = {
            f"{name}.{key}": value
            for name in ("student", "student_ema")
            for key, value in load_file(folder / f"{name}.safetensors").items()
        }
        save_file(final, folder / "final.safetensors")
        (folder / "summary.json").write_text(json.dumps(results["last"]))
    # torch can abort at exit while a wrapped model is alive, although all work is done
    del trainer, experiment, stages
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
