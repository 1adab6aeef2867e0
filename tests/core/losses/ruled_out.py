"""Losses of a softmax as functions of logits, and logits with classes of −∞."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import distill_core.losses as losses
from distill_core.cache import codec_named
from distill_core.layers import ProjectionHead

SAMPLES, CLASSES = 8, 7
TARGET = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
"""Of the first three classes, which no mask below hides."""
Value = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Law:
    """How a loss is made of logits, and on which side a class of −∞ makes it infinite.

    Attributes:
        value: From logits of student and teacher (samples, classes), targets and the numbers of the classes to the loss.
        infinite: The sides.
        limit: Whether −∞ on the other side is the limit of large negative numbers.
    """

    value: Value
    infinite: frozenset[str] = frozenset({"student"})
    limit: bool = True


def plain(loss: nn.Module) -> Value:
    return lambda s, t, y, kept: loss(s, t)


def labelled(loss: nn.Module) -> Value:
    return lambda s, t, y, kept: loss(s, t, target=y)


def tokens(loss: nn.Module) -> Value:
    return lambda s, t, y, kept: loss(s[None], t[None])


def sampled(estimator: str) -> Value:
    loss = losses.SampledReverseKLLoss(estimator, policy_gradient=False, chunk=3)
    return lambda s, t, y, kept: loss(s[None], t[None], y[None])


def contrastive(mode: str) -> Value:
    """Each sample is a response of one token, by teacher and student in turns."""
    loss = losses.DistiLLM2Loss(mode=mode, chunk=3)
    return lambda s, t, y, kept: loss(s[:, None], t[:, None], torch.arange(len(s)) % 2)


def dual_space(only_right: bool) -> Value:
    """Both spaces, with heads that leave vectors as they are: the other model's logits."""

    def value(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
        head = nn.Identity()
        ours = losses.student_space(s[None], t[None], head, y[None], only_right=only_right, chunk=3)
        every = torch.ones(1, len(s), dtype=torch.bool)
        return (ours + losses.teacher_space(s[None], t[None], head, every, chunk=3)).mean()

    return value


def maps(logits: Tensor) -> Tensor:
    return logits[:, :, None, None]


def grown(logits: Tensor) -> Tensor:
    """Maps of 2 × 2 positions that differ."""
    return maps(logits) + torch.tensor([[0.0, 1.0], [-0.5, 2.0]], dtype=logits.dtype) * maps(logits.clamp(min=-9)).sin()


def stored(codec: str, loss: nn.Module) -> Value:
    def from_cache(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
        fields = codec_named(codec).decode(codec_named(codec).encode(t, torch.arange(len(t))), t.dtype)
        weights = fields["log_probs"] if "log_probs" in fields else fields["weights"]
        return loss(s, weights, fields["index"])

    return from_cache


def uskd(mode: str) -> Value:
    def value(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
        torch.manual_seed(0)
        whole, loss = nn.Linear(3, CLASSES), losses.USKDLoss(len(kept), channels=3, mode=mode).to(s.dtype)
        loss.head.weight.data, loss.head.bias.data = (
            whole.weight.data[kept].to(s.dtype),
            whole.bias.data[kept].to(s.dtype),
        )
        return loss([s, torch.linspace(-1, 1, 3 * len(s), dtype=s.dtype).view(-1, 3)], target=y)

    return value


def wkdl(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    torch.manual_seed(0)
    return losses.WKDLLoss(losses.cosine_cost(torch.randn(CLASSES, 4)[kept]))(s, t, target=y)


def sskd(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    torch.manual_seed(0)
    loss = losses.SSKDLoss(ProjectionHead(6)).to(s.dtype)
    features = torch.randn(len(s), 6, dtype=s.dtype)
    return loss([s, features], [t, 2 * features.flip(0)], target=y[: len(s) // 4])


def distplus(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    feature = torch.linspace(-1, 1, len(s) * 12, dtype=s.dtype).sin().view(-1, 3, 2, 2)
    return losses.DISTPlusLoss()([s, feature], [t, feature.square()])


def sdd(base: str) -> Value:
    loss, head = losses.SDDLoss(scales=[1], base=base), nn.Identity()
    return lambda s, t, y, kept: loss((maps(s), head), (maps(t), head), target=y)


def crosskd(compare: str) -> Value:
    loss = losses.CrossKDLoss(nn.Identity(), compare, align=False)
    sides = 4 if compare == "distributions" else 1
    return lambda s, t, y, kept: loss(maps(s.repeat(1, sides)), maps(t.repeat(1, sides)))


def routed(s: Tensor, t: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    return losses.MultiTeacherKDLoss()(s, [t, t / 2], torch.arange(len(s)) % 2)


BOTH, NEITHER = frozenset({"student", "teacher"}), frozenset()
TEACHER = frozenset({"teacher"})
LAWS = {
    "KDLoss": Law(plain(losses.KDLoss())),
    "KDLoss-mean": Law(plain(losses.KDLoss(0.5, reduction="mean"))),
    "KDLSLoss": Law(labelled(losses.KDLSLoss(alpha=0.5))),
    "WSLDLoss": Law(labelled(losses.WSLDLoss())),
    "DKDLoss": Law(labelled(losses.DKDLoss())),
    "NKDLoss": Law(labelled(losses.NKDLoss())),
    "RLDLoss": Law(labelled(losses.RLDLoss())),
    "TTMLoss": Law(plain(losses.TTMLoss(0.5))),
    "TTMLoss-uniform": Law(plain(losses.TTMLoss(0.0)), limit=False),
    "WTTMLoss": Law(plain(losses.WTTMLoss(0.5))),
    "WTTMLoss-uniform": Law(plain(losses.WTTMLoss(0.0)), limit=False),
    "CTKDLoss": Law(lambda s, t, y, kept: losses.CTKDLoss().to(s.dtype)(s, t), limit=False),
    "MultiTeacherKDLoss": Law(lambda s, t, y, kept: losses.MultiTeacherKDLoss(2.0)(s, [t, t / 2])),
    "MultiTeacherKDLoss-routed": Law(routed),
    "OFALoss": Law(lambda s, t, y, kept: losses.target_enhanced(s, t, y, gamma=1.5).mean()),
    "OFALoss-paper": Law(lambda s, t, y, kept: losses.target_enhanced(s, t, y, gamma=1.5, mode="paper").mean()),
    "OFALogitsLoss": Law(labelled(losses.OFALogitsLoss(1.5, 2.0))),
    "PixelwiseLoss": Law(lambda s, t, y, kept: losses.PixelwiseLoss()(grown(s), grown(t))),
    "CWDLoss": Law(lambda s, t, y, kept: losses.CWDLoss()(grown(s), grown(t)), BOTH),
    "CrossKDLoss-classes": Law(crosskd("classes")),
    "CrossKDLoss-distributions": Law(crosskd("distributions"), limit=False),
    "LDLoss": Law(lambda s, t, y, kept: losses.LDLoss(2.0)(maps(s.repeat(1, 4)), maps(t.repeat(1, 4)))),
    "SDDLoss": Law(sdd("kd")),
    "SDDLoss-dkd": Law(sdd("dkd")),
    "SSKDLoss": Law(sskd),
    "SKDInstanceLoss": Law(plain(losses.SKDInstanceLoss())),
    "SKDInstanceLoss-code": Law(plain(losses.SKDInstanceLoss(mode="code"))),
    "SKDDirectionLoss": Law(plain(losses.SKDDirectionLoss()), BOTH),
    "SKDDirectionLoss-code": Law(plain(losses.SKDDirectionLoss(mode="code")), BOTH),
    "MLKDLoss": Law(plain(losses.MLKDLoss())),
    "MLKDLoss-code": Law(lambda s, t, y, kept: losses.MLKDLoss(mode="code")([s, s / 2], [t, t / 3])),
    "StandardisedLogits": Law(plain(losses.StandardisedLogits(losses.KDLoss())), limit=False),
    "StandardisedLogits-dkd": Law(labelled(losses.StandardisedLogits(losses.DKDLoss())), limit=False),
    "DMLLoss": Law(lambda s, t, y, kept: losses.DMLLoss()([s, t]), BOTH),
    "DISTLoss": Law(plain(losses.DISTLoss()), NEITHER),
    "DISTPlusLoss": Law(distplus, NEITHER),
    "WKDLLoss": Law(wkdl, NEITHER, limit=False),
    "TfKDLoss": Law(lambda s, t, y, kept: losses.TfKDLoss()(s, y), NEITHER, limit=False),
    "TfKDLoss-code": Law(lambda s, t, y, kept: losses.TfKDLoss(mode="code")(s, y), NEITHER, limit=False),
    "USKDLoss": Law(uskd("paper"), NEITHER, limit=False),
    "USKDLoss-code": Law(uskd("code"), NEITHER, limit=False),
    "TokenCELoss": Law(lambda s, t, y, kept: losses.TokenCELoss(chunk=3)(s[None], y[None]), NEITHER),
    "ForwardKLLoss": Law(tokens(losses.ForwardKLLoss(2.0, chunk=3))),
    "ReverseKLLoss": Law(tokens(losses.ReverseKLLoss(2.0, chunk=3)), TEACHER),
    "AKLLoss": Law(tokens(losses.AKLLoss(chunk=3)), BOTH),
    "AKLLoss-code": Law(tokens(losses.AKLLoss(mode="code", chunk=3)), BOTH),
    "SkewedKLLoss": Law(tokens(losses.SkewedKLLoss(chunk=3)), NEITHER),
    "SkewedKLLoss-0": Law(tokens(losses.SkewedKLLoss(0.0, chunk=3))),
    "SkewedKLLoss-1": Law(tokens(losses.SkewedKLLoss(1.0, chunk=3)), NEITHER),
    "SkewedReverseKLLoss": Law(tokens(losses.SkewedReverseKLLoss(chunk=3)), NEITHER),
    "SkewedReverseKLLoss-0": Law(tokens(losses.SkewedReverseKLLoss(0.0, chunk=3)), TEACHER),
    "GeneralisedJSDLoss": Law(tokens(losses.GeneralisedJSDLoss(0.3, chunk=3)), NEITHER),
    "GeneralisedJSDLoss-scaled": Law(tokens(losses.GeneralisedJSDLoss(0.3, mode="scaled", chunk=3)), NEITHER),
    "GeneralisedJSDLoss-forward": Law(tokens(losses.GeneralisedJSDLoss(0.0, chunk=3))),
    "GeneralisedJSDLoss-reverse": Law(tokens(losses.GeneralisedJSDLoss(1.0, chunk=3)), TEACHER),
    "ABKDLoss": Law(tokens(losses.ABKDLoss(chunk=3)), NEITHER),
    "ABKDLoss-half": Law(tokens(losses.ABKDLoss(0.5, 0.5, chunk=3)), NEITHER),
    "ABKDLoss-forward": Law(tokens(losses.ABKDLoss(1.0, 0.0, chunk=3))),
    "ABKDLoss-reverse": Law(tokens(losses.ABKDLoss(0.0, 1.0, chunk=3)), TEACHER),
    "ABKDLoss-logarithms": Law(tokens(losses.ABKDLoss(0.0, 0.0, chunk=3)), BOTH),
    "DeiTLoss": Law(lambda s, t, y, kept: losses.DeiTLoss()([s, s / 2], t, target=y)),
    "DeiTLoss-soft": Law(labelled(losses.DeiTLoss(mode="soft"))),
    "SampledReverseKLLoss": Law(sampled("k3"), NEITHER),
    "SampledReverseKLLoss-k1": Law(sampled("k1"), NEITHER),
    "DSKDLoss": Law(dual_space(only_right=False)),
    "DSKDCMALoss": Law(dual_space(only_right=True)),
    "DistiLLM2Loss": Law(contrastive("paper"), NEITHER),
    "DistiLLM2Loss-code": Law(contrastive("code"), NEITHER),
    "TAIDLoss": Law(tokens(losses.TAIDLoss(chunk=3).eval()), NEITHER),
    "TAIDLoss-end": Law(tokens(losses.TAIDLoss(start=1.0, chunk=3).eval())),
    "ULDLoss": Law(tokens(losses.ULDLoss(chunk=3)), NEITHER),
    "TopKKLLoss": Law(stored("topk-2", losses.TopKKLLoss(chunk=3)), limit=False),
    "TopKKLLoss-3": Law(stored("topk-3", losses.TopKKLLoss(chunk=3)), limit=False),
    "TopKKLLoss-all": Law(stored("topk-9", losses.TopKKLLoss(chunk=3))),
    "RSKDLoss": Law(stored("sampled-3", losses.RSKDLoss(chunk=3)), limit=False),
}


def logits(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    student, teacher = 2 * torch.randn(2, SAMPLES, CLASSES, dtype=dtype)
    return student, teacher


def hidden(tensor: Tensor, columns: list[int]) -> Tensor:
    mask = torch.zeros(tensor.shape[-1], dtype=torch.bool)
    mask[columns] = True
    return tensor.masked_fill(mask, -math.inf)
