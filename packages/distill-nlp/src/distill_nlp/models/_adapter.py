"""Adapters of PEFT: a few new weights beside those of a pretrained model.

Edward J. Hu, Yelong Shen, Phillip Wallis, Zeyuan Allen-Zhu, Yuanzhi Li, Shean Wang, Lu Wang, Weizhu Chen. "LoRA: Low-Rank
Adaptation of Large Language Models". ICLR 2022. https://arxiv.org/abs/2106.09685

What learns is named by a stage; the rest of a student would learn, too, if this were left out:

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
    """The model with new low-rank adapters; a new head learns with them.

    Args:
        model: A model of transformers; it is changed.
        rank: r, the rank of an adapter.
        alpha: α; an adapter is scaled by α / r.
        dropout: Before an adapter.
        modules: The names of the linear layers that get one, `["query", "value"]`; PEFT chooses for known models.
        task: What the model is for, in PEFT's words: says which head is new.

    Raises:
        DistillError: PEFT is not installed, or it does not know which modules to take.
    """
    peft = _peft()
    options = {"target_modules": list(modules)} if modules is not None else {}
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, task_type=task, **options)
    try:
        adapted: nn.Module = peft.get_peft_model(model, config)
    except ValueError as error:
        message = f"{type(model).__name__} gets no adapter: {error}\n  hint: name its linear layers in `modules`"
        raise DistillError(message) from error
    return adapted


def with_adapter(model: nn.Module, folder: str | Path) -> nn.Module:
    """The model with adapters from a folder that `save_pretrained` of PEFT wrote, as a teacher, say.

    Args:
        model: The model that the adapters were trained with; it is changed.
        folder: Holds `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        DistillError: PEFT is not installed, or the folder does not hold adapters as safetensors.
        TrustError: A file of the folder loads code.
    """
    peft = _peft()
    path = Path(folder).expanduser()
    missing = [name for name in ("adapter_config.json", "adapter_model.safetensors") if not (path / name).is_file()]
    if missing:
        message = f"{path} holds no adapter: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there"
        raise DistillError(message)
    check_model_folder(path)
    adapted: nn.Module = peft.PeftModel.from_pretrained(model, str(path), is_trainable=False)
    return adapted


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        message = "adapters need PEFT, which is not installed\n  hint: pip install peft"
        raise DistillError(message) from error
