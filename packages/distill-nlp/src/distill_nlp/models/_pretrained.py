"""Pretrained models, from a folder or from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_core.errors import DistillError, did_you_mean

from .._hub import check_settings
from ..data import Tokenizer, find_tokenizer
from ._checkpointing import with_gradient_checkpointing
from ._complete import load_complete
from ._gguf import dequantized, gguf_options
from ._outputs import output_options, set_use_cache
from ._padding import complete_padding, tokenizer_of
from ._student import student_from


def from_pretrained(
    auto_class: str,
    name_or_path: str | Path,
    *,
    num_labels: int | None = None,
    new_head: bool = False,
    layers: Sequence[int] | None = None,
    width: int | None = None,
    tokenizer: str | Tokenizer | None = None,
    hidden_states: bool = False,
    attentions: bool = False,
    attn_implementation: str | None = None,
    dtype: str = "float32",
    gradient_checkpointing: bool = False,
    revision: str | None = None,
    gguf_file: str | None = None,
) -> nn.Module:
    """Load a model of transformers. Only safetensors and GGUF are read, and settings that load code are refused.

    A model whose tensors do not all come from the folder is refused, because a teacher with a random head is useless. For
    a new task set `new_head: true`, which logs the new tensors. Prefixes of known wrappers (`module.`, `_orig_mod.`) are
    removed. On the meta device the model is built from its configuration and no weights are read.
    `use_cache` of its config is set to False, because with a cache it would attend across the documents of a packed block.

    Args:
        auto_class: `AutoModelForSequenceClassification`, `AutoModelForCausalLM`, `AutoModel` …
        name_or_path: A folder that `save_pretrained` wrote, or a name on the hub.
        num_labels: Number of labels. Defaults to that of the folder. A different number requires `new_head`.
        new_head: Allow a head that is missing from the folder or has another width, and is randomly initialised. All other
            tensors must be complete.
        layers: The layers to keep, from 0; see `student_from`. None keeps all.
        width: A smaller width; see `student_from`.
        tokenizer: The tokenizer of the data. A model whose own tokenizer differs is refused. A sequence classifier takes
            its padding token. Without `tokenizer`, a sequence classifier without a padding token (GPT-2, Llama) takes that
            of the tokenizer in its folder, or else its end token.
        hidden_states: Return the hidden states of all layers too.
        attentions: Return the attentions of all layers too, which requires `attn_implementation` `eager`.
        attn_implementation: `eager`, `sdpa` … Defaults to the choice of transformers.
        dtype: The dtype of the weights, `float32`, `bfloat16` …
        gradient_checkpointing: See `with_gradient_checkpointing`.
        revision: A commit on the hub.
        gguf_file: The name of a GGUF file in `name_or_path`; its weights are dequantized.

    Raises:
        DistillError: The class or the model does not exist, has no safetensors, weights are missing or do not match,
            attentions are not available, its tokenizer differs, or its settings load code (`TrustError`).
    """
    factory = _factory(auto_class)
    check_settings(name_or_path, revision)
    if (data_tokenizer := None if tokenizer is None else find_tokenizer(tokenizer)) is not None:
        _check_vocabulary(Path(name_or_path, gguf_file or ""), data_tokenizer)
    options = output_options(
        hidden_states=hidden_states, attentions=attentions, attn_implementation=attn_implementation
    )
    where = {"revision": revision, **gguf_options(name_or_path, gguf_file)}
    model = _load(factory, name_or_path, options, num_labels, dtype, where, new_head=new_head)
    if auto_class == "AutoModelForSequenceClassification":
        complete_padding(model, str(name_or_path), data_tokenizer)
    model = _part_of(model, layers, width, getattr(torch, dtype))
    return with_gradient_checkpointing(model) if gradient_checkpointing else model


def _part_of(model: nn.Module, layers: Sequence[int] | None, width: int | None, dtype: torch.dtype) -> nn.Module:
    """Return a smaller model with the weights of `model`, or the model itself."""
    if layers is None and width is None:
        return model
    count: Any = model.config.num_hidden_layers  # type: ignore[union-attr]
    smaller = student_from(model, range(count) if layers is None else layers, width=width)
    for parameter in smaller.parameters():  # not the buffers: the frequencies of positions stay float32
        parameter.data = parameter.data.to(dtype)
    return smaller


def _factory(auto_class: str) -> Any:
    """Return an `AutoModel` class of transformers."""
    import transformers

    known = [name for name in dir(transformers) if name.startswith("AutoModel")]
    if auto_class not in known:
        message = f"transformers has no '{auto_class}'"
        raise DistillError(message, hint=did_you_mean(auto_class, known))
    return getattr(transformers, auto_class)


def _load(
    factory: Any,
    name_or_path: str | Path,
    options: dict[str, Any],
    num_labels: int | None,
    dtype: str,
    where: dict[str, Any],
    *,
    new_head: bool,
) -> nn.Module:
    import transformers

    where = {"trust_remote_code": False, **where}
    labels = {} if num_labels is None else {"num_labels": num_labels}
    try:
        config = transformers.AutoConfig.from_pretrained(name_or_path, **where, **labels)
        for name in ("output_hidden_states", "output_attentions"):
            setattr(config, name, options.pop(name))
        if torch.get_default_device().type == "meta":
            of_dtype = {"dtype": getattr(torch, dtype)}  # by default the one in which the folder was saved
            model: nn.Module = factory.from_config(config, trust_remote_code=False, **of_dtype, **options)
        else:
            model = load_complete(
                factory,
                name_or_path,
                new_head=new_head,
                config=config,
                **(dequantized() if "gguf_file" in where else {"use_safetensors": True}),
                dtype=getattr(torch, dtype),
                **where,
                **options,
            )
    except (OSError, ValueError) as error:
        raise _load_error(name_or_path, error) from error
    set_use_cache(model, False)
    return model


def _check_vocabulary(name_or_path: str | Path, tokenizer: Any) -> None:
    """Refuse a model whose folder has a tokenizer with another vocabulary."""
    own: Any = tokenizer_of(str(name_or_path)) or tokenizer
    expected, given = own.get_vocab(), tokenizer.get_vocab()
    if expected != given:
        sizes = f"its tokenizer has {len(expected)} tokens, `tokenizer` has {len(given)}"
        message = f"'{name_or_path}' has a different vocabulary than the data: {sizes}"
        hint = "tokenise the data for both, `tokenizers: {teacher: …}`, and feed batch.teacher_input_ids"
        raise DistillError(message, hint=hint)


def _load_error(name_or_path: str | Path, error: Exception) -> DistillError:
    """Return the reason why a model cannot be loaded."""
    folder = Path(name_or_path).expanduser()
    if folder.is_dir() and (folder / "config.json").is_file():
        if any(folder.glob("*.safetensors*")):
            reason = next(iter(str(error).splitlines()), "")
            return DistillError(
                f"{folder} cannot be loaded: {reason}", hint="give a complete folder of save_pretrained"
            )
        hint = "load the model in a trusted environment and call save_pretrained again"
        return DistillError(f"{folder} has no safetensors", hint=hint)
    message = f"the model '{name_or_path}' does not exist locally and could not be downloaded"
    return DistillError(message, hint="give a folder with config.json and model.safetensors")
