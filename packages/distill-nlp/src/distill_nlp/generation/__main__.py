"""Write what a model answers to prompts: `python -P -m distill_nlp.generation MODEL PROMPTS OUTPUT`."""

from __future__ import annotations

import argparse
import sys

import torch

from distill_core.errors import DistillError

from ..models import from_pretrained
from ._sample import Sampling
from ._write import write_completions


def main() -> int:
    """The command; 0 if the file is written."""
    parser = argparse.ArgumentParser(prog="python -P -m distill_nlp.generation", description=__doc__)
    parser.add_argument("model", help="a folder that save_pretrained wrote, or a name on the hub; with its tokenizer")
    parser.add_argument("prompts", help="a table: .jsonl, .json, .csv, .tsv or .parquet")
    parser.add_argument("output", help="the JSONL file to write; a call that was interrupted goes on")
    parser.add_argument("--column", default="prompt")
    parser.add_argument("--samples", type=int, default=1, help="completions of each prompt")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=0.0, help="0 takes the most probable token")
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--max-prompt", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    try:
        sampling = Sampling(max_new_tokens=given.max_new_tokens, temperature=given.temperature, top_p=given.top_p)
        model = from_pretrained("AutoModelForCausalLM", given.model, dtype=given.dtype)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        path = write_completions(
            model,
            given.prompts,
            given.output,
            tokenizer=given.model,
            sampling=sampling,
            samples=given.samples,
            column=given.column,
            batch_size=given.batch_size,
            max_prompt=given.max_prompt,
            seed=given.seed,
        )
    except (DistillError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
