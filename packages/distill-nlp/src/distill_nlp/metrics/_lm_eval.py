"""Tasks of EleutherAI's lm-evaluation-harness as a metric.

Stella Biderman et al. "Lessons from the Trenches on Reproducible Evaluation of Language Models". 2024.
https://arxiv.org/abs/2405.14782
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import final

from torch import nn

from distill_core.errors import DistillError

from ..data import Tokenizer, find_tokenizer


@final
class LMEval:
    """The results of a model on tasks of the lm-evaluation-harness, which reads its own data: `hellaswag.acc_norm`.

    It ignores the batches of its loader, and holds the model, as in

        test:
          loader: *test
          metrics:
            lm_eval:
              metric: !import_call:distill_nlp.metrics.LMEval {model: *student, tokenizer: *tokenizer, tasks: [hellaswag]}
              inputs: {}

    Values of a filter other than `none` have its name, `gsm8k.exact_match.strict-match`. Requires `pip install lm_eval[hf]`.

    Args:
        model: A causal language model of transformers.
        tokenizer: The tokenizer, or its name or folder.
        tasks: Names of tasks or groups of tasks.
        num_fewshot: Number of examples before each question. Defaults to that of each task.
        limit: Maximum number of questions per task, to try it out. None reads all.
        batch_size: Number of questions per batch.
        apply_chat_template: Render the questions with the tokenizer's chat template.

    Raises:
        DistillError: The package is not installed, or a task does not exist.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: str | Tokenizer,
        tasks: Sequence[str],
        *,
        num_fewshot: int | None = None,
        limit: int | None = None,
        batch_size: int = 8,
        apply_chat_template: bool = False,
    ) -> None:
        if find_spec("lm_eval") is None:
            message = "LMEval requires the package lm_eval, which is not installed"
            raise DistillError(message, hint="pip install 'lm_eval[hf]'")
        if not tasks or isinstance(tasks, str):
            message = f"`tasks` must be a list of names of tasks, got {tasks!r}"
            raise DistillError(message)
        self._manager = importlib.import_module("lm_eval.tasks").TaskManager()
        if unknown := [task for task in tasks if not self._manager.match_tasks([task])]:
            message = f"lm_eval has no task '{unknown[0]}'"
            raise DistillError(message, hint="list them: lm_eval ls tasks")
        self._model, self._tokenizer, self._tasks = model, find_tokenizer(tokenizer), list(tasks)
        self._options = {"num_fewshot": num_fewshot, "limit": limit, "apply_chat_template": apply_chat_template}
        self._batch_size = batch_size

    def reset(self) -> None:
        """Do nothing, because nothing is accumulated."""

    def update(self) -> None:
        """Do nothing: the tasks have their own data."""

    def compute(self) -> dict[str, float]:
        """Run the tasks in eval mode, and return `task.metric` → value. Every process runs all of them.

        Raises:
            DistillError: The data of a task cannot be loaded.
        """
        harness, wrapper = (importlib.import_module(name) for name in ("lm_eval", "lm_eval.models.huggingface"))
        modes = [(module, module.training) for module in self._model.modules()]
        self._model.eval()
        try:
            wrapped = wrapper.HFLM(pretrained=self._model, tokenizer=self._tokenizer, batch_size=self._batch_size)
            given = harness.simple_evaluate(
                model=wrapped, tasks=self._tasks, task_manager=self._manager, log_samples=False, **self._options
            )
        except (OSError, ValueError, KeyError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            message = f"lm_eval could not run {', '.join(self._tasks)}: {reason}"
            raise DistillError(message, hint="download the data of the tasks first, or check their names") from error
        finally:
            for module, training in modes:
                module.training = training
        return _values(given["results"])


def _values(results: Mapping[str, Mapping[str, float | str]]) -> dict[str, float]:
    """Return the numbers of lm_eval's results, `metric,filter` of each task, without standard errors.

    >>> _values({"arc": {"alias": "arc", "acc,none": 0.5, "acc_stderr,none": 0.1, "em,strict": 0.25}})
    {'arc.acc': 0.5, 'arc.em.strict': 0.25}
    """
    values = {}
    for task, metrics in results.items():
        for name, value in metrics.items():
            metric, _, kind = name.partition(",")
            if not kind or metric.endswith("_stderr") or isinstance(value, str):
                continue
            values[f"{task}.{metric}" if kind == "none" else f"{task}.{metric}.{kind}"] = float(value)
    return values
