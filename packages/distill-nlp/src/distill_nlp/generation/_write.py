"""Sequence-level distillation: a data set of what the teacher writes.

Yoon Kim, Alexander M. Rush. "Sequence-Level Knowledge Distillation". EMNLP 2016. https://arxiv.org/abs/1606.07947
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_core.data import derive_seed
from distill_core.errors import DataError

from ..data import Tokenizer, causal_tokenizer, read_table
from ..data._documents import checked_texts
from ._ends import end_tokens
from ._sample import Sampling, generate


def write_completions(
    model: nn.Module,
    prompts: str | Path | Sequence[str],
    output: str | Path,
    *,
    tokenizer: str | Tokenizer,
    sampling: Sampling | None = None,
    samples: int = 1,
    column: str = "prompt",
    batch_size: int = 8,
    max_prompt: int = 256,
    seed: int = 0,
) -> Path:
    """Write a JSONL file of prompts with the completions that a model gives, for `distill_nlp.data.completions`.

    Lines are `{"prompt": …, "completion": …}` in the order of the prompts. The file appears when it is whole; until then
    it is `<output>.part`, and a call that was interrupted goes on where that ends, to the same file: chance follows from the
    seed and from the number of the batch.

    Args:
        model: A causal language model of transformers, on the device where it is to run.
        prompts: The texts, or a table with a column of them.
        output: The file to write; it must not exist.
        tokenizer: A tokenizer of transformers, or its name or folder. Its end token ends a completion, and so do those of
            the model's `generation_config`.
        sampling: How the next token is chosen; the most probable one if left out.
        samples: Completions of each prompt.
        column: The column of a table.
        batch_size: Prompts at a time.
        max_prompt: Tokens of a prompt, of which the last are kept.
        seed: All chance follows from it.

    Returns:
        The file.

    Raises:
        DataError: The file exists, what was begun was begun with other settings, or there is no such column.
    """
    path = Path(output).expanduser()
    if path.exists():
        message = f"{path} exists\n  hint: choose another file, or delete it"
        raise DataError(message)
    texts = [text for text in _texts(prompts, column) for _ in range(samples)]
    chosen = sampling or Sampling(temperature=0.0)
    found: Any = causal_tokenizer(tokenizer)
    batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    ends = end_tokens(model, found)
    head = {"key": _key(texts, chosen, batch_size, max_prompt, seed, *ends), "model": type(model).__name__}
    unfinished = path.with_name(f"{path.name}.part")
    done = _lines_done(unfinished, head, batch_size)
    with unfinished.open("a", encoding="utf-8", newline="\n") as file:
        if done < 0:
            print(json.dumps(head), file=file)
        for number in range(max(done, 0), len(batches)):
            answers = _answers(model, batches[number], found, chosen, max_prompt, derive_seed(seed, number), ends)
            for prompt, answer in zip(batches[number], answers, strict=True):
                print(json.dumps({"prompt": prompt, "completion": answer}, ensure_ascii=False), file=file)
            file.flush()
    _finish(unfinished, path)
    return path


def _texts(prompts: str | Path | Sequence[str], column: str) -> list[str]:
    return (
        checked_texts(prompts, "prompts") if not isinstance(prompts, str | Path) else read_table(prompts).texts(column)
    )


def _answers(
    model: nn.Module,
    texts: list[str],
    tokenizer: Any,
    sampling: Sampling,
    max_prompt: int,
    seed: int,
    ends: tuple[int, ...],
) -> Iterator[str]:
    """What the model writes after each text."""
    device = next(model.parameters()).device
    first = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    rows = [first + row[-max_prompt:] for row in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    rows = [torch.tensor(row or [tokenizer.eos_token_id]) for row in rows]
    prompts = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=int(tokenizer.pad_token_id or 0))
    lengths = torch.tensor([len(row) for row in rows], device=device)
    generator = torch.Generator(device).manual_seed(seed)
    written, counts = generate(model, prompts.to(device), lengths, sampling, end=ends, generator=generator)
    for tokens, count in zip(written.tolist(), counts.tolist(), strict=True):
        answer = tokens[: count - (tokens[count - 1] in ends)]  # an end token need not be a special one
        yield tokenizer.decode(answer, skip_special_tokens=True)


def _key(texts: list[str], sampling: Sampling, *settings: int) -> str:
    """A hash of all that a file follows from besides the weights."""
    text = json.dumps([texts, repr(sampling), settings])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _lines_done(unfinished: Path, head: dict[str, str], batch_size: int) -> int:
    """How many batches are there; what was cut off in the middle is cut away. −1 if nothing was begun.

    Raises:
        DataError: What is there was begun with other settings.
    """
    if not unfinished.is_file():
        return -1
    content = unfinished.read_bytes()
    whole = [line + b"\n" for line in content.split(b"\n")[:-1]]
    if not whole:
        unfinished.write_bytes(b"")
        return -1
    if json.loads(whole[0]) != head:
        message = f"{unfinished} was begun with other prompts or settings\n  hint: delete it, or choose another file"
        raise DataError(message)
    done = (len(whole) - 1) // batch_size
    with unfinished.open("r+b") as file:
        file.truncate(sum(map(len, whole[: 1 + done * batch_size])))
    return done


def _finish(unfinished: Path, path: Path) -> None:
    """The lines without their head, as a whole file."""
    last = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with unfinished.open("rb") as source, last.open("wb") as target:
        source.readline()
        target.writelines(source)
        target.flush()
        os.fsync(target.fileno())
    os.replace(last, path)
    unfinished.unlink()
