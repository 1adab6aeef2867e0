"""Measure the step time of a tiny BERT relative to a plain loop and the padding of batches, and write the README."""

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
    parser.add_argument("--rounds", type=int, default=60, help="number of rounds per loop")
    args = parser.parse_args()
    sys.path[:0] = [str(HERE), str(HERE.parent / "overhead")]
    warnings.simplefilter("ignore")  # from other libraries
    logging.disable(logging.WARNING)
    import bert_step
    import page
    import torch

    torch.set_num_threads(1)
    times, alone, shares = bert_step.steps(args.rounds), bert_step.updates(args.rounds), bert_step.real_tokens()
    bert_step.write(HERE / "results" / "speed.md", times, alone, shares)
    print(page.write().read_text(encoding="utf-8"))
