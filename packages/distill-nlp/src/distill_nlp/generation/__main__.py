"""Generate completions of prompts: `python -P -m distill_nlp.generation MODEL PROMPTS OUTPUT`."""

from __future__ import annotations

import argparse
import sys

import torch

from distill_core.errors import DistillError

from ..models import from_pretrained
from ._sample import Sampling
from ._write import write_completions


def main() -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -P -m distill_nlp.generation", description=__doc__)
    parser.add_argument("model", help="model folder or name on the hub, with its tokenizer")
    parser.add_argument("prompts", help="prompt file: .jsonl, .json, .csv, .tsv or .parquet")
    parser.add_argument("output", help="output JSONL file; an interrupted run resumes")
    parser.add_argument("--column", default="prompt", help="prompt column")
    parser.add_argument("--samples", type=int, default=1, help="number of completions per prompt")
    parser.add_argument("--batch-size", type=int, default=8, help="number of prompts per batch")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="maximum number of generated tokens")
    parser.add_argument("--temperature", type=float, default=0.0, help="sampling temperature; 0 decodes greedily")
    parser.add_argument("--top-p", type=float, default=1.0, help="nucleus sampling probability")
    parser.add_argument("--max-prompt", type=int, default=256, help="maximum number of prompt tokens")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--dtype", default="float32", help="dtype of the weights")
    args = parser.parse_args()
    try:
        sampling = Sampling(max_new_tokens=args.max_new_tokens, temperature=args.temperature, top_p=args.top_p)
        model = from_pretrained("AutoModelForCausalLM", args.model, dtype=args.dtype)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        path = write_completions(
            model,
            args.prompts,
            args.output,
            tokenizer=args.model,
            sampling=sampling,
            samples=args.samples,
            column=args.column,
            batch_size=args.batch_size,
            max_prompt=args.max_prompt,
            seed=args.seed,
        )
    except (DistillError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
