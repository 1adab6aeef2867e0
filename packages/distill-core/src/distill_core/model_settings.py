"""Settings of single models of an experiment: caches, precision, sharding. Imports neither torch nor yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .ranges import PositiveInt, check_fields


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
    """

    precision: Literal["fp32", "fp16", "bf16"] | None = None
    compile: bool | str = False


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
