"""Settings of single models of an experiment: caches, precision, sharding. Imports neither torch nor yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .ranges import Finite, PositiveFloat, PositiveInt, check_fields


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """The cache of a frozen model on disk.

    Attributes:
        folder: Folder of caches; each cache has a folder in it, named by a hash of everything that its content depends on.
        codec: Format of the values: `float32`, `float16`, `bfloat16`, `int8`, `topk-8` (any number), `sampled-64`; or glob
            over taps (`teacher`, `teacher.layer*`) → format, `float32` if none matches.
        views: Number of augmentations of each sample; by default `views` of the experiment.
        build_model: Whether to build the model. With `false` the cache must be complete, and the run needs neither the weights
            nor the code. Building draws random numbers: list it after the student, whose weights are then the same.
    """

    folder: str
    codec: str | Mapping[str, str] = "float32"
    views: PositiveInt | None = None
    build_model: bool = True

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Settings of a frozen model that differ from the rest of the run.

    Attributes:
        precision: `fp32`, or mixed precision with `bf16` or `fp16`; the losses get its outputs as float32 if the
            run is in `fp32`. The dtype of its weights does not change: build the model in bfloat16 to halve them too.
        compile: Compile it separately with `torch.compile`; a string names the backend.
        size: Height and width of the images that it expects, `[224, 224]`; by default those of the data.
        mean: Mean of each channel with which it expects images to be normalised, for pixels from 0 to 1; by default that of
            the data, whose own normalisation is read from their transforms.
        std: Standard deviation of each channel; together with `mean`.
        tokenizer: The model's own tokenizer, a folder or a name, if its vocabulary is another one than that of the data. The
            data functions of a file get it as `tokenizers`, and `feed` of the model reads its fields: `batch.input_ids` means
            `batch.teacher_input_ids`. In Python, give both yourself.
        max_length: Number of tokens to which its texts are truncated; by default that of the data. With `tokenizer`.
    """

    precision: Literal["fp32", "fp16", "bf16"] | None = None
    compile: bool | str = False
    size: Sequence[PositiveInt] | None = None
    mean: Sequence[Finite] | None = None
    std: Sequence[PositiveFloat] | None = None
    tokenizer: str | None = None
    max_length: PositiveInt | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.size is not None and len(self.size) != 2:
            message = f"`size` must be a height and a width, got {len(self.size)} number{'s' * (len(self.size) != 1)}"
            raise ValueError(message)
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            message = f"`mean` and `std` need one number for each channel, got {len(self.mean or ())} and {len(self.std or ())}"
            raise ValueError(message)
        if self.max_length is not None and self.tokenizer is None:
            message = (
                "`max_length` needs `tokenizer`: the texts of the data are truncated by the `max_length` of the data"
            )
            raise ValueError(message)

    @property
    def input_text(self) -> str:
        """The size and normalisation of its own images as text; empty if they are those of the data."""
        size = [] if self.size is None else ["×".join(map(str, self.size))]
        normalised = [] if self.mean is None else [f"mean {list(self.mean)} std {list(self.std or ())}"]
        return " ".join(["on images of", *size, *normalised]) if size or normalised else ""


@dataclass(frozen=True, kw_only=True)
class DDPSettings:
    """Settings of replicated models that learn (`DistributedDataParallel`). A run of one process ignores them.

    Attributes:
        reduce_dtype: The dtype in which gradients are sent and summed: `bf16` sends half the bytes of float32, and `fp32` loses
            no digits of gradients in bfloat16; by default that of the gradient.
    """

    reduce_dtype: Literal["fp32", "bf16"] | None = None


@dataclass(frozen=True, kw_only=True)
class FSDPSettings:
    """Settings of sharded models (FSDP2). A run of one process does not shard and ignores them.

    Attributes:
        param_dtype: The dtype in which parameters are gathered and used, `bf16` to halve traffic and memory; by default
            their own. Shards and the optimizer keep theirs, and the model's output is cast to float32.
        reduce_dtype: The dtype in which gradients are summed; `fp32` by default with `param_dtype`, and otherwise that of
            the parameters.
        reshard_after_forward: Whether to free the gathered parameters of a block after its forward, and gather them again
            for its backward. With `false` they stay, which saves traffic and needs more memory.
        cpu_offload: Whether to keep shards, gradients and the optimizer's state in host memory.
    """

    param_dtype: Literal["fp32", "bf16"] | None = None
    reduce_dtype: Literal["fp32", "bf16"] | None = None
    reshard_after_forward: bool = True
    cpu_offload: bool = False
