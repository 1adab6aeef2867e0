"""PEFT adapters: a small number of new weights added to a pretrained model.

Edward J. Hu, Yelong Shen, Phillip Wallis, Zeyuan Allen-Zhu, Yuanzhi Li, Shean Wang, Lu Wang, Weizhu Chen. "LoRA: Low-Rank
Adaptation of Large Language Models". ICLR 2022. https://arxiv.org/abs/2106.09685

A stage must name the trainable parameters. Otherwise it trains the whole student:

    train: ["student.*lora_*", "student.*modules_to_save*"]
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn

from distill_core.config import check_model_folder
from distill_core.errors import DistillError

Task = Literal["SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", "FEATURE_EXTRACTION"]


def with_lora(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 16,
    dropout: float = 0.0,
    modules: Sequence[str] | None = None,
    task: Task = "SEQ_CLS",
) -> nn.Module:
    """Add new low-rank adapters to a model. A new head is trained with them.

    Args:
        model: A model of transformers, modified in place.
        rank: r, the rank of an adapter.
        alpha: α. An adapter is scaled by α / r.
        dropout: Dropout probability before an adapter.
        modules: The names of the linear layers that get an adapter, `["query", "value"]`. Defaults to PEFT's choice for
            the architecture.
        task: PEFT's task type, which determines the new head.

    Raises:
        DistillError: PEFT is not installed, or has no default for `modules`.
    """
    peft = _peft()
    options = {"target_modules": list(modules)} if modules is not None else {}
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, task_type=task, **options)
    try:
        adapted: nn.Module = peft.get_peft_model(model, config)
    except ValueError as error:
        message = f"adding an adapter to {type(model).__name__} failed: {error}"
        raise DistillError(message, hint="name its linear layers in `modules`") from error
    return adapted


def with_adapter(model: nn.Module, folder: str | Path) -> nn.Module:
    """Add trained adapters from a folder that PEFT's `save_pretrained` wrote, for example for a teacher.

    Args:
        model: The base model of the adapters, modified in place.
        folder: A folder with `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        DistillError: PEFT is not installed, or the folder does not hold adapters as safetensors.
        TrustError: A file of the folder loads code.
    """
    peft = _peft()
    path = Path(folder).expanduser()
    missing = [name for name in ("adapter_config.json", "adapter_model.safetensors") if not (path / name).is_file()]
    if missing:
        message = f"{path} has no adapter: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise DistillError(message)
    check_model_folder(path)
    adapted: nn.Module = peft.PeftModel.from_pretrained(model, str(path), is_trainable=False)
    return adapted


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        message = "adapters require PEFT, which is not installed"
        raise DistillError(message, hint="pip install peft") from error
