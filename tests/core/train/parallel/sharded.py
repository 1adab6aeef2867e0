"""Trains a Llama-like student on several forked processes with each setting of sharded models, and prints what was seen as JSON.

    sharded.py FOLDER [resumed | CASE...]

torch is imported once; each process is a fork of this one.
"""

from __future__ import annotations

import json
import math
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import signal
import socket
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.checkpoint import hf_storage
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError
from distill_core.experiment import FSDPSettings
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer, _trainer
from distill_core.train._setup import set_up
from distill_core.weights import deferred

GRAPHS: list[int] = []
SENT: set[str] = set()


def noted(name: str) -> Any:
    """Return a collective operation that notes the dtype of what it sends."""
    send = getattr(dist, name)

    def noting(*args: Any, **kwargs: Any) -> Any:
        sent = kwargs["input"] if "input" in kwargs else args[1]
        SENT.add(f"{name.partition('_')[0]} {sent.dtype}")
        return send(*args, **kwargs)

    return noting


@torch._dynamo.register_backend(name="counting")
def counting(graph: Any, inputs: Any) -> Any:
    GRAPHS.append(1)
    return graph.forward


class Block(nn.Module):
    """A residual block that counts its calls and notes the dtype of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(10), nn.Linear(10, 30), nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Net(nn.Module):
    """Layers between an input and an output, as in a decoder; 3 rows and 10 rows are not divisible by every number of processes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layers, self.head = (
            nn.Linear(6, 10),
            nn.ModuleList(Block() for _ in range(3)),
            nn.Linear(10, 3),
        )
        self.scale = nn.Parameter(torch.ones(1))  # one process has it, and the others have an empty shard
        self.tied = self.scale

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x) * self.scale * self.tied


class Seen(nn.Module):
    """Cross-entropy that notes how the student's second block is held between forward and backward."""

    reduction_scope = "sample"

    def __init__(self, student: nn.Module, notes: dict[str, Any]) -> None:
        super().__init__()
        self.notes = notes
        self.block = [student.layers[1]]
        self.block[0].up.register_forward_hook(self.note)

    def note(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.notes["calls"] = self.notes.get("calls", 0) + 1
        self.notes["dtype"] = str(module.weight.dtype)

    def forward(self, student: Tensor, target: Tensor) -> Tensor:
        self.notes["gathered"] = not isinstance(self.block[0].up.weight, DTensor)
        self.notes["output"] = str(student.dtype)
        return nn.functional.cross_entropy(student, target)


class Held(TorchDispatchMode):
    """Counts the elements of tensors with data that a block of code creates, and those that it reads from files."""

    def __init__(self) -> None:
        super().__init__()
        self.created = self.read = 0
        self.process = hf_storage.HuggingFaceStorageReader._process_read_request

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if "empty" in func.__name__ or "clone" in func.__name__ or "zeros" in func.__name__:
            self.created += sum(tensor.numel() for tensor in tree_leaves(output) if not tensor.is_meta)
        return output

    def reading(self, reader: Any, file: Any, request: Any, planner: Any) -> None:
        self.read += math.prod(request.lengths)
        self.process(reader, file, request, planner)


def counted(notes: dict[str, Any], set_up: Any) -> Any:
    """Return `set_up`, with a note of what it creates and reads."""

    def counting_set_up(*args: Any) -> None:
        with Held() as held:
            hf_storage.HuggingFaceStorageReader._process_read_request = lambda *a: held.reading(*a)
            set_up(*args)
        notes["created"], notes["read"] = held.created, held.read

    return counting_set_up


class Look(Callback):
    def __init__(self, notes: dict[str, Any], stop: int = 0) -> None:
        self.notes, self.stop = notes, stop

    def on_step_end(self, trainer: Trainer) -> None:
        for name, each in trainer.models.items():
            self.notes[name] = any(isinstance(parameter, DTensor) for parameter in each.parameters())
        student = trainer.models["student"]
        if isinstance(student, FSDPModule):
            group = student._get_fsdp_state()._fsdp_param_group
            self.notes["offload"] = isinstance(group.offload_policy, CPUOffloadPolicy)
            self.notes["sent"] = sorted(SENT)
        if trainer.state.step == self.stop:
            trainer.save()
            raise KeyboardInterrupt


def train(
    folder: Path,
    processes: int,
    *,
    stop: int = 0,
    fails: bool = False,
    killed: str = "",
    weights: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    torch.manual_seed(0)
    GRAPHS.clear()
    SENT.clear()
    from write_faults import fail_from, kill_in  # found beside this script, but not where pytest reads doctests

    if fails and os.environ["RANK"] == "1":
        fail_from(1)
    kill_in(killed, folder / "checkpoints")
    notes: dict[str, Any] = {}
    models = {"student": Net(), "teacher": Net()}
    if weights is not None:
        kept = {name: value for name, value in models["student"].state_dict().items() if name != "tied"}
        save_file(kept, folder / "start.safetensors")
        save_file({name: value + 1 for name, value in kept.items()}, folder / "start_ema.safetensors")  # not to be read
        models["student"] = deferred(Net, folder / "start.safetensors")
        _trainer.set_up = counted(notes, set_up)
    seen = Seen(models["student"], notes) if settings.get("compile_blocks") is None else nn.CrossEntropyLoss()
    names = {"student": "student"} if isinstance(seen, Seen) else {"input": "student"}
    terms = {
        "ce": Term(loss=seen, inputs={**names, "target": "batch.target"}),
        "hint": Term(loss=nn.MSELoss(), inputs={"input": "student.layers.0", "target": "teacher.layers.0"}),
    }
    inputs = torch.randn(24, 6, generator=torch.Generator().manual_seed(1))
    data = Loader(TensorData({"input": inputs, "target": inputs[:, :3].argmax(1)}), 12 // processes)
    stage = Stage(epochs=3, losses=terms, optimizer=partial(torch.optim.AdamW, lr=0.01), clip_grad_norm=1.0)
    experiment = Experiment(
        models=models, data={"train": data}, stages=[stage], ema={"student": 0.5}, callbacks=[Checkpoint()], **settings
    )
    trainer = Trainer(experiment, output=folder, callbacks=[Look(notes, stop)])
    try:
        trainer.fit(resume=(folder / "checkpoints" / "latest").is_file(), change=True)
    except KeyboardInterrupt:
        return notes
    except TrainingError as error:
        return {"error": str(error), "latest": (folder / "checkpoints" / "latest").read_text().strip()}
    return {**notes, "graphs": len(GRAPHS), "held": len(trainer.weights["student"])}


def forked(processes: int, rank: int, port: int, folder: Path, settings: dict[str, Any]) -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        notes = train(folder, processes, **settings)
        (folder / f"notes-{rank}.json").write_text(json.dumps(notes))
        code = 0
    except BaseException:  # noqa: BLE001  the outermost frame of a fork
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run(processes: int, folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Train on forked processes; return the notes of each that was not killed on purpose."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pids = [forked(processes, rank, port, folder, settings) for rank in range(processes)]
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    expected = {0, signal.SIGKILL} if settings.get("killed") else {0}
    assert set(codes) == expected, (folder.name, codes)
    return [json.loads((folder / f"notes-{rank}.json").read_text()) for rank in range(processes) if not codes[rank]]


CASES: dict[str, dict[str, Any]] = {
    "ddp": {},
    "teacher": {"shard": ["teacher"]},
    "bf16": {"parallel": "fsdp", "fsdp": FSDPSettings(param_dtype="bf16")},
    "kept": {"parallel": "fsdp", "fsdp": FSDPSettings(reshard_after_forward=False)},
    "offload": {"parallel": "fsdp", "fsdp": FSDPSettings(cpu_offload=True), "activation_checkpointing": ["student"]},
    "deferred": {"parallel": "fsdp", "weights": "start"},
    "compiled": {"parallel": "fsdp", "compile_blocks": {"student": "counting"}},
}


def resumed(top: Path) -> dict[str, Any]:
    """Stop a run of two processes in its second epoch, and resume copies of it on two, three and one."""
    found = {"whole": run(2, top / "whole", parallel="fsdp")}
    run(2, top / "stopped", parallel="fsdp", stop=3)
    for processes in (2, 3, 1):
        shutil.copytree(top / "stopped", top / f"on-{processes}")
        found[f"on-{processes}"] = run(processes, top / f"on-{processes}", parallel="fsdp")
    found["full-disk"] = run(2, top / "full-disk", parallel="fsdp", fails=True)
    for moment in ("shards", "state", "pointer"):
        folder = top / f"killed-in-{moment}"
        found[folder.name] = run(2, folder, parallel="fsdp", killed=moment)
        found[folder.name][0]["left"] = [path.name for path in (folder / "checkpoints").iterdir()]
        run(2, folder, parallel="fsdp")
    return found


if __name__ == "__main__":
    for name in ("all_gather_single", "reduce_scatter_single", "all_gather_into_tensor", "reduce_scatter_tensor"):
        if hasattr(dist, name):  # the first two have replaced the others
            setattr(dist, name, noted(name))
    top = Path(sys.argv[1])
    if sys.argv[2:] == ["resumed"]:
        print(json.dumps(resumed(top)))
    else:
        print(json.dumps({name: run(2, top / name, **CASES[name]) for name in sys.argv[2:] or CASES}))
