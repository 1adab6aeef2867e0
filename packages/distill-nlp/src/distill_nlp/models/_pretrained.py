"""Models with weights, from a folder or from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_core.errors import DistillError, did_you_mean

from .._hub import check_settings
from ..data import Tokenizer, find_tokenizer
from ._complete import load_complete
from ._outputs import output_options
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
    revision: str | None = None,
) -> nn.Module:
    """Load a model of transformers; only safetensors are read, and settings that load code are refused.

    Every tensor of the model comes from the folder, or the model is refused: a teacher with a random head teaches noise.
    A model that is to learn another task says `new_head: true`; the log then lists what is new. Names may carry those of
    known wrappers (`module.`, `_orig_mod.`). On the meta device the model is made of its configuration and no weights
    are read.

    Args:
        auto_class: `AutoModelForSequenceClassification`, `AutoModelForCausalLM`, `AutoModel` …
        name_or_path: A folder that `save_pretrained` wrote, or a name on the hub.
        num_labels: Number of labels; that of the folder by default. Another number needs `new_head`.
        new_head: Allow that the head is not in the folder or has another width there, and is random. The rest must
            still be complete.
        layers: Only these of its layers, from 0, as `student_from` takes them; all if left out.
        width: A smaller width, if only some layers are taken.
        tokenizer: The one whose tokens the model will be fed: a model with another one of its own is refused. A sequence
            classifier takes its padding token. Without it, a sequence classifier that has no padding token (GPT-2,
            Llama) takes that of the tokenizer in its folder or, without one there, its end token.
        hidden_states: Give the hidden states of all layers too.
        attentions: Give the attentions of all layers too, which takes `attn_implementation` `eager`.
        attn_implementation: `eager`, `sdpa` …; transformers chooses if left out.
        dtype: The type of the weights in memory, `float32`, `bfloat16` …
        revision: A commit on the hub.

    Raises:
        DistillError: There is no such class or model, it has no safetensors, weights are missing or do not fit,
            attentions cannot be given, it reads other tokens, or its settings load code (`TrustError`).
    """
    factory = _factory(auto_class)
    check_settings(name_or_path, revision)
    reads = None if tokenizer is None else find_tokenizer(tokenizer)
    if reads is not None:
        _same_tokens(name_or_path, reads)
    options = output_options(
        hidden_states=hidden_states, attentions=attentions, attn_implementation=attn_implementation
    )
    labels = {} if num_labels is None else {"num_labels": num_labels}
    model = _load(factory, name_or_path, options, labels, dtype, revision, new_head=new_head)
    if auto_class == "AutoModelForSequenceClassification":
        complete_padding(model, str(name_or_path), reads)
    if layers is None and width is None:
        return model
    count = model.config.num_hidden_layers  # type: ignore[union-attr]
    return student_from(model, range(count) if layers is None else layers, width=width)  # type: ignore[arg-type]


def _factory(auto_class: str) -> Any:
    """Return the class of transformers that makes models of one kind."""
    import transformers

    known = [name for name in dir(transformers) if name.startswith("AutoModel")]
    if auto_class not in known:
        message = f"transformers has no '{auto_class}'\n  hint: {did_you_mean(auto_class, known)}"
        raise DistillError(message)
    return getattr(transformers, auto_class)


def _load(
    factory: Any,
    name_or_path: str | Path,
    options: dict[str, Any],
    labels: dict[str, int],
    dtype: str,
    revision: str | None,
    *,
    new_head: bool,
) -> nn.Module:
    import transformers

    where: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(name_or_path, **where, **labels)
        for name in ("output_hidden_states", "output_attentions"):
            setattr(config, name, options.pop(name))
        if torch.get_default_device().type == "meta":
            bare: nn.Module = factory.from_config(config, trust_remote_code=False, **options)
            return bare
        return load_complete(
            factory,
            name_or_path,
            new_head=new_head,
            config=config,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            **where,
            **options,
        )
    except (OSError, ValueError) as error:
        raise DistillError(_why_not(name_or_path, error)) from error


def _same_tokens(name_or_path: str | Path, tokenizer: Any) -> None:
    """Refuse a model that numbers words in another way than the tokenizer does; a folder need not have a tokenizer."""
    own: Any = tokenizer_of(str(name_or_path)) or tokenizer
    theirs, given = own.get_vocab(), tokenizer.get_vocab()
    if theirs != given:
        message = (
            f"'{name_or_path}' reads other tokens than it is to be fed: {len(theirs)} of its own, {len(given)} of the tokenizer\n"
            "  hint: let the data give both, `tokenizers: {teacher: …}`, and feed it batch.teacher_input_ids"
        )
        raise DistillError(message)


def _why_not(name_or_path: str | Path, error: Exception) -> str:
    """Why there is no model of this name."""
    folder = Path(name_or_path).expanduser()
    if folder.is_dir() and (folder / "config.json").is_file():
        if any(folder.glob("*.safetensors*")):
            reason = str(error).partition("\n")[0]
            return f"{folder} cannot be loaded: {reason}\n  hint: give a folder that save_pretrained wrote completely"
        return f"{folder} holds no safetensors\n  hint: load it where you trust it and save_pretrained it again"
    return (
        f"there is no model '{name_or_path}' here and the hub did not give one\n"
        "  hint: give a folder that holds config.json and model.safetensors"
    )
