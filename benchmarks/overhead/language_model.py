"""Benchmark of a step of distillation of language models against a loop by hand and TRL; writes language_model.md."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import readme
import torch
import torch.nn.functional as F
from lanes import Loop, Tick, race, ratios
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from distill_core.data import Loader, TensorData
from distill_core.losses import GeneralisedJSDLoss
from distill_core.train import Callback, Experiment, Stage, Term, Trainer

IGNORED, LR, EVERY, NUM_BATCHES = -100, 1e-3, 50, 4
_TEXT = """# A step of distillation of language models

Written by `python benchmarks/overhead/language_model.py`. JSD with β = 0.5 on {batch} × {tokens} tokens, {share:.0%} of which are
answers that count, over {words:,} words. The student is a Llama of 4 layers of width 256, the teacher one of 8; SGD with momentum.
The loops take turns in one process, one thread, on the same batches; all students have the same weights at the end. CPU time of a
step, median over {rounds} rounds with quartiles in brackets, relative to a loop by hand, which selects the tokens that count and
computes the divergence with `F.log_softmax` and `F.kl_div`. TRL is its GKDTrainer with λ = 0, which computes it for all tokens.

{machine}

{table}
"""


class Task:
    """The models and batches of one loop, equal for all loops.

    Args:
        batch_size: Number of samples per batch.
        tokens: Number of tokens per sample; the first half is the prompt.
        words: Size of the vocabulary.
    """

    def __init__(self, batch_size: int, tokens: int, words: int) -> None:
        torch.manual_seed(0)
        self.student, self.teacher = _llama(4, words), _llama(8, words).eval().requires_grad_(False)
        self.batch_size = batch_size
        self.tokens = torch.randint(words, (NUM_BATCHES * batch_size, tokens))
        self.labels = self.tokens.masked_fill(torch.arange(tokens) < tokens // 2, IGNORED)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield tokens and labels of each batch of an epoch."""
        yield from zip(self.tokens.split(self.batch_size), self.labels.split(self.batch_size), strict=True)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the student's optimizer."""
        return torch.optim.SGD(self.student.parameters(), lr=LR, momentum=0.9)


def _llama(layers: int, words: int) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=words, hidden_size=256, intermediate_size=512, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, use_cache=False, bos_token_id=None, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model: nn.Module = LlamaForCausalLM(config)
    return model


def by_hand(task: Task) -> Loop:
    """Return the loop by hand."""

    def loop(tick: Tick) -> None:
        optimizer, running, step = task.optimizer(), torch.zeros(()), 0
        task.student.train()
        while True:
            for tokens, labels in task.batches():
                counted = labels[:, 1:] != IGNORED
                with torch.no_grad():
                    teacher = task.teacher(tokens[:, :-1]).logits[counted]
                loss = _jsd(task.student(tokens[:, :-1]).logits[counted], teacher)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                running += loss.detach()
                step += 1
                if step % EVERY == 0:
                    running.item()
                    running.zero_()
                tick()

    return loop


def _jsd(student: Tensor, teacher: Tensor) -> Tensor:
    q, p = F.log_softmax(student, -1), F.log_softmax(teacher, -1)
    mixture = torch.logaddexp(q, p) - torch.log(torch.tensor(2.0))
    divergences = (F.kl_div(mixture, one, log_target=True, reduction="sum") for one in (p, q))
    return sum(divergences, torch.zeros(())) / 2 / len(student)


def distill(task: Task) -> Loop:
    """Return the loop of this project's trainer."""

    class Ticks(Callback):
        def __init__(self, tick: Tick) -> None:
            self.tick = tick

        def on_step_end(self, run: Any) -> None:  # noqa: ARG002
            self.tick()

    def loop(tick: Tick) -> None:
        fields = {"input_ids": task.tokens[:, :-1], "mask": task.labels[:, 1:] != IGNORED}
        inputs = {"student": "student:out.logits", "teacher": "teacher:out.logits", "mask": "batch.mask"}
        stage = Stage(
            epochs=10**6,
            losses={"jsd": Term(loss=GeneralisedJSDLoss(beta=0.5), inputs=inputs)},
            optimizer=partial(torch.optim.SGD, lr=LR, momentum=0.9),
            feed={name: {"input_ids": "batch.input_ids"} for name in ("teacher", "student")},
        )
        experiment = Experiment(
            models={"teacher": task.teacher, "student": task.student},
            data={"train": Loader(TensorData(fields), task.batch_size)},
            stages=[stage],
            log_every=EVERY,
        )
        Trainer(experiment, callbacks=[Ticks(tick)], progress=False).fit()

    return loop


class _Batches(IterableDataset[dict[str, Tensor]]):
    """The batches of an epoch as TRL's collator returns them."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __len__(self) -> int:
        return NUM_BATCHES

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for tokens, labels in self.task.batches():
            yield {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": labels}


def trl(task: Task) -> Loop:
    """Return the loop of TRL's GKDTrainer without on-policy batches."""
    import transformers
    from datasets import Dataset
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    from distill_nlp.tokenizers import byte_level

    class Ticks(transformers.TrainerCallback):  # type: ignore[misc]
        def __init__(self, tick: Tick) -> None:
            self.tick = tick

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
            self.tick()

    class Trained(GKDTrainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return self.accelerator.prepare(DataLoader(_Batches(task), batch_size=None))

    def loop(tick: Tick) -> None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = GKDConfig(
                output_dir=folder, lmbda=0.0, beta=0.5, temperature=1.0, per_device_train_batch_size=task.batch_size,
                max_steps=10**9, max_grad_norm=0.0, logging_steps=EVERY, save_strategy="no", report_to=[],
                disable_tqdm=True, use_cpu=True, bf16=False, gradient_checkpointing=False,
            )  # fmt: skip
            optimizer = task.optimizer()
            constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _step: 1.0)
            trainer = Trained(
                model=task.student, teacher_model=task.teacher, args=arguments, processing_class=byte_level([]),
                train_dataset=Dataset.from_dict({"messages": [[]] * NUM_BATCHES}), optimizers=(optimizer, constant),
                callbacks=[Ticks(tick)],
            )  # fmt: skip
            trainer.pop_callback(transformers.PrinterCallback)
            trainer.train()

    return loop


def contenders() -> Mapping[str, Callable[[Task], Loop]]:
    """Return the loops, the one by hand first; TRL where it is installed."""
    return {"by hand": by_hand, "Distill": distill} | ({"TRL": trl} if importlib.util.find_spec("trl") else {})


def measure(rounds: int, batch_size: int, tokens: int, words: int) -> dict[str, tuple[float, float, float]]:
    """Return the CPU time of a step of each loop relative to the loop by hand, as quartiles over the rounds.

    Raises:
        AssertionError: The weights of the students differ, so that the loops did other work.
    """
    tasks = {name: Task(batch_size, tokens, words) for name in contenders()}
    times = race({name: make(tasks[name]) for name, make in contenders().items()}, 1, rounds)
    expected = tasks["by hand"].student.state_dict()
    for task in tasks.values():
        torch.testing.assert_close(task.student.state_dict(), expected, rtol=1e-3, atol=1e-5)
    return {name: ratios(values, times["by hand"]) for name, values in times.items() if name != "by hand"}


def write(path: Path, rounds: int, batch_size: int, tokens: int, words: int) -> None:
    """Measure and write the page."""
    results = measure(rounds, batch_size, tokens, words)
    if "TRL" in results:
        results["Distill relative to TRL"] = (0.0, results["Distill"][1] / results["TRL"][1], 0.0)
    rows = [
        [name, f"{middle:.2f}" + (f" ({first:.2f}–{last:.2f})" if last else "")]
        for name, (first, middle, last) in results.items()
    ]
    table = readme.table(["loop", "CPU time of a step"], rows)
    share = (tokens - tokens // 2) / tokens
    text = _TEXT.format(
        batch=batch_size, tokens=tokens, words=words, rounds=rounds, share=share, machine=readme.machine(), table=table
    )
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="number of turns per loop, one step each")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--words", type=int, default=49_152, help="size of the vocabulary")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "language_model.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # from other libraries
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    write(args.output, args.rounds, args.batch_size, args.tokens, args.words)
