"""A training step in plain PyTorch, and what torch's tracker counts in it on real tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
import torchvision
import transformers
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils.checkpoint import checkpoint


def token_loss(student: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of tokens, or of samples, in one piece."""
    return nn.functional.cross_entropy(student.flatten(0, -2), target.flatten())


@dataclass(frozen=True)
class Work:
    """A model with its data.

    Attributes:
        model: The model.
        blocks: Its blocks, which are sharded and recomputed.
        batch: The model's inputs, and `target`.
        field: The tap of its logits.
    """

    model: nn.Module
    blocks: list[nn.Module]
    batch: dict[str, Tensor]
    field: str

    def loss(self, run: Callable[..., Any]) -> Tensor:
        """Return the loss of the batch with `run` as the model."""
        inputs = {name: value for name, value in self.batch.items() if name != "target"}
        output = run(*inputs.values()) if "x" in inputs else run(**inputs)
        return token_loss(output if isinstance(output, Tensor) else output.logits, self.batch["target"])


def tokens(vocabulary: int, rows: int, length: int) -> dict[str, Tensor]:
    ids = torch.randint(vocabulary, (rows, length))
    mask = torch.ones_like(ids)
    mask[:, length - 8 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "target": ids}


def llama(*, large: bool) -> Work:
    """Return a decoder with grouped queries and rotary positions."""
    width, layers, vocabulary, shape = (512, 6, 8000, (8, 128)) if large else (32, 2, 200, (4, 16))
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
            num_attention_heads=8, num_key_value_heads=2, max_position_embeddings=256, use_cache=False,
        )
    )  # fmt: skip
    return Work(model, list(model.model.layers), tokens(vocabulary, *shape), "student:out.logits")


def bert(*, large: bool) -> Work:
    """Return an encoder with dropout and tied embeddings."""
    width, layers, vocabulary, shape = (512, 6, 8000, (8, 128)) if large else (32, 2, 200, (4, 16))
    model = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
            num_attention_heads=8,
        )
    )  # fmt: skip
    return Work(model, list(model.bert.encoder.layer), tokens(vocabulary, *shape), "student:out.logits")


def resnet(*, large: bool) -> Work:
    """Return a convolutional network with batch norms."""
    model = torchvision.models.resnet50(num_classes=100) if large else torchvision.models.resnet18(num_classes=10)
    shape = (8, 3, 96, 96) if large else (2, 3, 32, 32)
    parts = [block for layer in (model.layer1, model.layer2, model.layer3, model.layer4) for block in layer]
    return Work(model, parts, {"x": torch.randn(shape), "target": torch.randint(10, shape[:1])}, "student")


WORKS = {"llama": llama, "bert": bert, "resnet": resnet}


def measured(work: Work, parallel: str, *, recompute: bool) -> dict[str, int]:
    """Return the bytes by part at the peak of the third step, on the first of two processes.

    The other process does not exist: the collective operations of torch's fake process group do nothing.
    """
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        return _measured(work, parallel, recompute=recompute)
    finally:
        dist.destroy_process_group()


def _measured(work: Work, parallel: str, *, recompute: bool) -> dict[str, int]:
    for block in work.blocks if recompute else ():
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    run = work.model
    if parallel == "fsdp":
        mesh = init_device_mesh("cpu", (2,))
        for module in (*work.blocks, work.model):
            fully_shard(module, mesh=mesh)
    else:
        run = DistributedDataParallel(work.model, gradient_as_bucket_view=True, init_sync=False)
        run.register_comm_hook(None, _sent)
    return tracked(work, lambda: work.loss(run), keeps_buckets=parallel == "ddp")


def tracked(work: Work, loss: Callable[[], Tensor], *, keeps_buckets: bool = False) -> dict[str, int]:
    """Return the bytes by part at the peak of the third step of a plain loop; torch's tracker counts them.

    Args:
        work: The model and its batch.
        loss: Returns the loss.
        keeps_buckets: Whether gradients are views of buckets, which the tracker does not see.
    """
    optimizer = torch.optim.AdamW(work.model.parameters(), lr=1e-3, fused=True)  # as the trainer chooses

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    loss().backward()  # DistributedDataParallel now has its final buckets
    optimizer.step()
    buckets = [parameter.grad for parameter in work.model.parameters()] if keeps_buckets else []
    optimizer.zero_grad()
    tracker: Any = MemTracker()
    tracker.track_external(work.model, optimizer, *work.batch.values(), *buckets)
    with tracker:
        step()
    (found,) = tracker.get_tracker_snapshot("peak").values()
    return {str(getattr(part, "value", part)): size for part, size in found.items()}


def _sent(state, bucket):  # torch refuses annotations that are strings
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future
