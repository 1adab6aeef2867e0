"""Sequence-level distillation: a dataset of the teacher's completions.

Yoon Kim, Alexander M. Rush. "Sequence-Level Knowledge Distillation". EMNLP 2016. https://arxiv.org/abs/1606.07947
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_core.data import derive_seed
from distill_core.errors import DataError

from .._atomic import atomic_path
from .._texts import checked_texts
from ..data import Tokenizer, causal_tokenizer, prompt_tokens, start_tokens, tokens_of
from ..tables import Rows, read_rows
from ._complete import complete_prompts
from ._ends import end_tokens
from ._sample import Sampling

_FORMAT = 2
"""Version of the lines. An unfinished file of another version is not resumed."""


def write_completions(
    model: nn.Module,
    prompts: Rows | Sequence[str],
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
    """Write a JSONL file of prompts with a model's completions, for `distill_nlp.data.completions`.

    Lines are `{"prompt": …, "completion": …, "completion_ids": …, "ended": …}` in the order of the prompts. The tokens
    include the end token of a completion that ended; the others were cut at `max_new_tokens`. The unfinished file is `<output>.part`, from
    which an interrupted call resumes with the same result: random numbers depend only on the seed and the batch index.

    Args:
        model: A causal language model of transformers, on its device.
        prompts: The texts, or rows with a column of them; see `distill_nlp.tables.read_rows`.
        output: The file to write. It must not exist.
        tokenizer: A tokenizer of transformers, or its name or folder. Its end token and those of the model's
            `generation_config` end a completion.
        sampling: The sampling of the next token. Defaults to greedy decoding.
        samples: Number of completions per prompt.
        column: The column of a table.
        batch_size: Number of prompts per batch.
        max_prompt: Maximum number of prompt tokens, of which the last are kept.
        seed: Seeds all random numbers.

    Returns:
        The file.

    Raises:
        DataError: The file exists, was started with other settings, or the column does not exist.
    """
    path = Path(output).expanduser()
    if path.exists():
        message = f"{path} exists already"
        raise DataError(message, hint="choose another file, or delete it")
    texts = [text for text in _texts(prompts, column) for _ in range(samples)]
    chosen = sampling or Sampling(temperature=0.0)
    loaded: Any = causal_tokenizer(tokenizer)
    batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    ends = end_tokens(model, loaded)
    head = {"key": _key(texts, chosen, batch_size, max_prompt, seed, *ends), "model": type(model).__name__}
    unfinished = path.with_name(f"{path.name}.part")
    done = _num_done(unfinished, head, batch_size)
    with unfinished.open("a", encoding="utf-8", newline="\n") as file:
        if done < 0:
            print(json.dumps(head), file=file)
        for index in range(max(done, 0), len(batches)):
            answers = _answers(model, batches[index], loaded, chosen, max_prompt, derive_seed(seed, index), ends)
            for prompt, answer in zip(batches[index], answers, strict=True):
                print(json.dumps({"prompt": prompt, **answer}, ensure_ascii=False), file=file)
            file.flush()
    _finish(unfinished, path)
    return path


def _texts(prompts: Rows | Sequence[str], column: str) -> list[str]:
    if isinstance(prompts, list | tuple) and not any(isinstance(row, Mapping) for row in prompts):
        return checked_texts(prompts, "prompts")
    return read_rows(prompts).texts(column)


def _answers(
    model: nn.Module,
    texts: list[str],
    tokenizer: Any,
    sampling: Sampling,
    max_prompt: int,
    seed: int,
    ends: tuple[int, ...],
) -> list[dict[str, Any]]:
    """Return the model's completion of each text: the text, its tokens and whether it ended."""
    start = start_tokens(tokenizer)
    rows = [prompt_tokens(row, tokenizer, start, max_prompt) for row in tokens_of(texts, tokenizer)]
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    return complete_prompts(model, rows, tokenizer, sampling, ends=ends, generator=generator)


def _key(texts: list[str], sampling: Sampling, *settings: int) -> str:
    """Return a hash of everything that determines a file except the weights."""
    text = json.dumps([_FORMAT, texts, repr(sampling), settings])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _num_done(unfinished: Path, head: dict[str, str], batch_size: int) -> int:
    """Return the number of complete batches, −1 without a file. An incomplete batch is removed from the file.

    Raises:
        DataError: The file was started with other settings.
    """
    if not unfinished.is_file():
        return -1
    content = unfinished.read_bytes()
    lines = [line + b"\n" for line in content.split(b"\n")[:-1]]
    if not lines:
        unfinished.write_bytes(b"")
        return -1
    if json.loads(lines[0]) != head:
        message = f"{unfinished} was started with other prompts or settings"
        raise DataError(message, hint="delete it, or choose another file")
    done = (len(lines) - 1) // batch_size
    with unfinished.open("r+b") as file:
        file.truncate(sum(map(len, lines[: 1 + done * batch_size])))
    return done


def _finish(unfinished: Path, path: Path) -> None:
    """Write the lines without their head to the final file."""
    with atomic_path(path) as temporary, unfinished.open("rb") as source, temporary.open("wb") as target:
        source.readline()
        target.writelines(source)
        target.flush()
        os.fsync(target.fileno())
    unfinished.unlink()
