"""Losses over a vocabulary beside `F.kl_div`, TRL and Liger."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import vocabulary
from clock import time_and_peak
from part import Part, Rows, Setting, SkippedError
from torch import Tensor

Value = Callable[[], Tensor]


def trl_jsd(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the generalised JSD of TRL's GKDTrainer."""
    from trl.experimental.gkd import GKDTrainer

    loss: Tensor = GKDTrainer.generalized_jsd_loss(student[None], teacher[None], beta=0.5)
    return loss


def liger_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the forward KL divergence by Liger's kernel, which takes log-probabilities."""
    from liger_kernel.transformers import LigerKLDIVLoss

    loss = LigerKLDIVLoss(reduction="batchmean", log_target=True)
    value: Tensor = loss(student.log_softmax(-1), teacher.log_softmax(-1))
    return value


def liger_jsd(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the JSD by Liger's kernel, which takes log-probabilities."""
    from liger_kernel.transformers import LigerJSD

    value: Tensor = LigerJSD(beta=0.5)(student.log_softmax(-1), teacher.log_softmax(-1))
    return value


_OTHERS = {
    "TRL, generalized_jsd_loss": ("trl", trl_jsd),
    "Liger, LigerKLDIVLoss": ("liger_kernel", liger_kl),
    "Liger, LigerJSD": ("liger_kernel", liger_jsd),
}


def _others(student: Tensor, teacher: Tensor) -> Mapping[str, Value]:
    return {name: partial(loss, student, teacher) for name, (_, loss) in _OTHERS.items()}


def _rows(setting: Setting) -> Rows:
    tokens, words = (8, 99) if setting.is_tiny else (4096, 128_256)
    steps = vocabulary.steps(tokens, words, device=setting.device, others=_others)
    first: list[float] = []
    for name, step in steps.items():
        package = _OTHERS[name][0] if name in _OTHERS else ""
        yield name, partial(_measure, step, package, tokens * words * 4, first, setting)


def _measure(step: vocabulary.Step, package: str, size: int, first: list[float], setting: Setting) -> Sequence[str]:
    if package and importlib.util.find_spec(package) is None:
        message = f"{package} is not installed"
        raise SkippedError(message)
    seconds, peak = time_and_peak(step, setting)
    if not first:
        first.append(seconds)
    return [f"{seconds * 1e3:.3f}", f"{seconds / first[0]:.2f}", f"{peak / size:.2f}" if peak else "–"]


PART = Part(
    "Losses over a vocabulary",
    "Forward and backward of 4,096 tokens × 128,256 words in float32, relative to `F.kl_div` of two log-softmaxes. Memory is the peak\n"
    "beyond the logits, in tensors of the size of the student's logits; one of them is the gradient.",
    ("loss", "ms", "time", "memory"),
    40,
    _rows,
)
