"""The training jobs: a student from a teacher of the same architecture, on random data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from part import Setting
from torch import Tensor, nn
from torchvision.models import resnet50
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from distill_core.losses import ForwardKLLoss, KDLoss
from distill_vision.models import resnet as small_resnet

Loss = tuple[float, nn.Module, Mapping[str, str]]
"""The weight, the loss, and its parameters with what they get: `student`, `teacher` (their logits) or a field of the batch."""


@dataclass(frozen=True)
class Job:
    """One training job, the same for every loop.

    Attributes:
        name: The name in the tables.
        model: Builds a model; student and teacher have other weights.
        fields: All samples by field.
        batch_size: Number of samples per batch.
        feed: The fields that the models get by name; without them the field `input` is the first argument.
        logits: Where the logits are in the output: empty, or `:out.logits`.
        losses: The terms of the objective.
    """

    name: str
    model: Callable[[], nn.Module]
    fields: Mapping[str, Tensor]
    batch_size: int
    feed: tuple[str, ...]
    logits: str
    losses: Mapping[str, Loss]

    def models(self, device: torch.device) -> tuple[nn.Module, nn.Module]:
        """Return student and teacher on a device, with the same weights in each call."""
        torch.manual_seed(0)
        with device:
            student, teacher = self.model(), self.model()
        return student.train(), teacher.eval().requires_grad_(False)

    def output(self, model: Callable[..., Any], batch: Mapping[str, Tensor]) -> Tensor:
        """Return the logits of a model."""
        output = model(**{name: batch[name] for name in self.feed}) if self.feed else model(batch["input"])
        logits: Tensor = output.logits if self.logits else output
        return logits

    def objective(self, student: Tensor, teacher: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of the losses."""
        values = {**batch, "student": student, "teacher": teacher}
        terms = [
            weight * loss(**{name: values[source] for name, source in inputs.items()})
            for weight, loss, inputs in self.losses.values()
        ]
        return torch.stack(terms).sum()


def jobs(setting: Setting) -> dict[str, Callable[[], Job]]:
    """Return the jobs by name; each is built when it is called."""
    return {name: partial(make, is_tiny=setting.is_tiny) for name, make in _JOBS.items()}


def _classification() -> dict[str, Loss]:
    return {
        "ce": (0.1, nn.CrossEntropyLoss(), {"input": "student", "target": "target"}),
        "kd": (0.9, KDLoss(temperature=4.0), {"student": "student", "teacher": "teacher"}),
    }


def resnet(*, is_tiny: bool) -> Job:
    """Build ResNet-50 at 224 pixels."""
    size, batch_size = (32, 2) if is_tiny else (224, 64)
    model: Callable[[], nn.Module] = partial(small_resnet, 8) if is_tiny else resnet50
    torch.manual_seed(0)
    samples = 4 * batch_size
    fields = {"input": torch.randn(samples, 3, size, size), "target": torch.randint(10, (samples,))}
    return Job(f"ResNet-50, {size} px", model, fields, batch_size, (), "", _classification())


def bert(*, is_tiny: bool) -> Job:
    """Build an encoder of the size of BERT-base."""
    tokens, batch_size = (8, 2) if is_tiny else (128, 32)
    sizes: dict[str, int] = {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(**sizes, intermediate_size=32) if is_tiny else BertConfig()
    torch.manual_seed(0)
    shape = (4 * batch_size, tokens)
    fields = {
        "input_ids": torch.randint(config.vocab_size, shape),
        "attention_mask": torch.ones(shape, dtype=torch.long),
        "target": torch.randint(2, shape[:1]),
    }
    model = partial(BertForSequenceClassification, config)
    feed = ("input_ids", "attention_mask")
    return Job(f"BERT-base, {tokens} tokens", model, fields, batch_size, feed, ":out.logits", _classification())


def decoder(*, is_tiny: bool) -> Job:
    """Build a decoder of 1.2 billion parameters with the sizes of Llama 3.2 1B."""
    tokens, batch_size, scale = (8, 2, 64) if is_tiny else (512, 4, 1)
    config = LlamaConfig(
        vocab_size=128_256 // scale**2 + 1 if is_tiny else 128_256,
        hidden_size=2048 // scale,
        intermediate_size=8192 // scale,
        num_hidden_layers=2 if is_tiny else 16,
        num_attention_heads=8 if is_tiny else 32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        use_cache=False,
    )
    torch.manual_seed(0)
    fields = {"input_ids": torch.randint(config.vocab_size, (4 * batch_size, tokens))}
    losses: dict[str, Loss] = {"kl": (1.0, ForwardKLLoss(), {"student": "student", "teacher": "teacher"})}
    model = partial(LlamaForCausalLM, config)
    return Job(f"decoder of 1B, {tokens} tokens", model, fields, batch_size, ("input_ids",), ":out.logits", losses)


_JOBS = {"resnet": resnet, "bert": bert, "decoder": decoder}
