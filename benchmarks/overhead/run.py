"""Benchmark of the overhead of the training loop against plain PyTorch and other libraries; writes README.md."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for the threads of all loops

import argparse
import logging
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=40, help="number of turns per loop; four times as many for the MLP"
    )
    parser.add_argument("--works", nargs="+", choices=["mlp", "resnet"], default=["mlp", "resnet"])
    parser.add_argument("--taps", nargs="+", type=int, default=[0, 1, 8, 32])
    parser.add_argument("--no-compile", action="store_true", help="skip the gains of the keys")
    parser.add_argument("--output", type=Path, default=HERE / "README.md")
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    warnings.simplefilter("ignore")  # from other libraries
    logging.disable(logging.WARNING)
    import measure
    import readme
    import torch

    torch.set_num_threads(1)
    results = measure.everything(
        args.works, args.taps, args.rounds, compiles=not args.no_compile, report=lambda line: print(line, flush=True)
    )
    readme.write(args.output, results)
