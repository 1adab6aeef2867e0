"""Benchmark of a step on two processes (gloo) beside DistributedDataParallel by hand; writes processes.md."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import argparse
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import loops
import readme
import torch
import torch.distributed as dist
from lanes import quartiles, race, ratios
from works import WORKS

NUM_PROCESSES = 2
_TEXT = """# Two processes

Written by `python benchmarks/overhead/processes.py`. Two processes with gloo, one thread each. A step of Distill's trainer relative to a
plain loop with the student in `DistributedDataParallel(gradient_as_bucket_view=True)` and the same fused optimizer. The loops take turns of
a few steps. Times are the CPU times of both processes together, the median over {rounds} rounds (four times as many for the MLP),
quartiles in brackets. The script fails unless both students have the same weights at the end.

{machine}

{table}
"""


def measure(kind: str, rounds: int) -> list[str]:
    """Return the row of one work. Every process calls this."""
    works = {name: WORKS[kind](0) for name in ("by hand", "Distill")}
    racing = {"by hand": loops.plain(works["by hand"], fused=True), "Distill": loops.distill(works["Distill"])}
    own = race(racing, works["Distill"].block, rounds * (4 if kind == "mlp" else 1))
    expected = works["by hand"].student.state_dict()
    weights = {name for name, _ in works["by hand"].student.named_parameters()}
    for name, value in works["Distill"].student.state_dict().items():
        if name in weights:
            torch.testing.assert_close(value, expected[name], rtol=1e-2, atol=1e-3)
    gathered: list[dict[str, list[float]]] = [{}] * NUM_PROCESSES
    dist.all_gather_object(gathered, own)
    times = {name: [sum(values) for values in zip(*(each[name] for each in gathered), strict=True)] for name in own}
    first, middle, third = ratios(times["Distill"], times["by hand"])
    by_hand = quartiles(times["by hand"])[1] * 1e3
    return [works["Distill"].name, f"{by_hand:.2f} ms", f"{middle:.2f} ({first:.2f}–{third:.2f})"]


def work(output: Path, kinds: list[str], rounds: int) -> None:
    """Measure in one of the processes; the first writes the page."""
    warnings.simplefilter("ignore")  # from other libraries
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rows = [measure(kind, rounds) for kind in kinds]
    if dist.get_rank() == 0:
        table = readme.table(["work", "a step by hand", "Distill"], rows)
        output.write_text(_TEXT.format(rounds=rounds, machine=readme.machine(), table=table), encoding="utf-8")
    dist.barrier()
    os._exit(0)  # the loops have ended in the middle of a run


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=20, help="number of turns per loop; four times as many for the MLP"
    )
    parser.add_argument("--works", nargs="+", choices=sorted(WORKS), default=sorted(WORKS))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "processes.md")
    args = parser.parse_args()
    if "RANK" in os.environ:
        work(args.output, args.works, args.rounds)
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={NUM_PROCESSES}"]
    sys.exit(subprocess.call([sys.executable, *launch, *sys.argv]))
