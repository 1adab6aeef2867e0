"""Classes of −∞: the loss without them is what every loss of a softmax is compared with."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import distill_core.losses as losses
from distill_core.cache import codec_named
from distill_core.errors import DataError
from distill_core.layers import ProjectionHead, checks_on_every_device

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
    "TAIDLoss": Law(tokens(losses.TAIDLoss(chunk=3).eval()), NEITHER),
    "TAIDLoss-end": Law(tokens(losses.TAIDLoss(start=1.0, chunk=3).eval())),
    "ULDLoss": Law(tokens(losses.ULDLoss(chunk=3)), NEITHER),
    "TopKKLLoss": Law(stored("topk-2", losses.TopKKLLoss(chunk=3)), limit=False),
    "TopKKLLoss-3": Law(stored("topk-3", losses.TopKKLLoss(chunk=3)), limit=False),
    "TopKKLLoss-all": Law(stored("topk-9", losses.TopKKLLoss(chunk=3))),
    "RSKDLoss": Law(stored("sampled-3", losses.RSKDLoss(chunk=3)), limit=False),
}
OTHERS = {
    "_cirkd": "similarities of features",
    "_fgd": "features",
    "_semckd": "layers",
}
"""Files with a softmax of numbers that are not logits of classes."""

MASKS = {
    "one": [4],
    "padding": [5, 6],
    "several": [3, 5],
    "three left": [3, 4, 5, 6],
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


def logits(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    student, teacher = 2 * torch.randn(2, SAMPLES, CLASSES, dtype=dtype)
    return student, teacher


def hidden(tensor: Tensor, columns: list[int]) -> Tensor:
    mask = torch.zeros(tensor.shape[-1], dtype=torch.bool)
    mask[columns] = True
    return tensor.masked_fill(mask, -math.inf)


def value_and_gradient(law: Law, student: Tensor, teacher: Tensor, kept: Tensor, target: Tensor = TARGET):
    student = student.detach().clone().requires_grad_()
    value = law.value(student, teacher, target, kept)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


@every_law
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_a_class_that_both_rule_out_is_excluded(law: Law, mask: list[int]):
    student, teacher = logits()
    everything = torch.arange(CLASSES)
    kept = torch.tensor([number for number in range(CLASSES) if number not in mask])
    expected, expected_gradient = value_and_gradient(law, student[:, kept], teacher[:, kept], kept)
    value, gradient = value_and_gradient(law, hidden(student, mask), hidden(teacher, mask), everything)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient[:, kept], expected_gradient)
    assert not gradient[:, mask].any()


@every_law
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_precision(law: Law, dtype: torch.dtype):
    student, teacher = (hidden(x, [4, 6]).to(dtype) for x in logits())
    kept = torch.tensor([0, 1, 2, 3, 5])
    expected, expected_gradient = value_and_gradient(law, student[:, kept], teacher[:, kept], kept)
    value, gradient = value_and_gradient(law, student, teacher, torch.arange(CLASSES))
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(value, expected, **tolerance)
    torch.testing.assert_close(gradient[:, kept], expected_gradient, **tolerance)
    assert not gradient[:, [4, 6]].any()


CONSTANTS = ["WSLDLoss", "DMLLoss", "USKDLoss", "USKDLoss-code", "AKLLoss", "AKLLoss-code", "TAIDLoss"]
"""Functions of the student that count as constant: the gradient is not that of the value."""


@pytest.mark.parametrize("name", [name for name in LAWS if name not in CONSTANTS])
def test_gradient_is_that_of_finite_differences(name: str):
    law = LAWS[name]
    student, teacher = (hidden(x, [4, 6])[:4] for x in logits())
    kept = [0, 1, 2, 3, 5]

    def padded(given: Tensor) -> Tensor:
        whole = student.clone()
        whole[:, kept] = given
        return law.value(whole, teacher, TARGET[:4], torch.arange(CLASSES))

    inputs = student[:, kept].clone().requires_grad_()
    assert torch.autograd.gradcheck(padded, inputs, rtol=1e-3, atol=1e-4)


@every_law
def test_each_sample_may_rule_out_other_classes(law: Law):
    student, teacher = logits()
    rows = torch.stack([hidden(torch.zeros(CLASSES), [3 + number % 4]) for number in range(SAMPLES)])
    value, gradient = value_and_gradient(law, student + rows, teacher + rows, torch.arange(CLASSES))
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert not gradient[rows.isneginf()].any()


@every_law
@pytest.mark.parametrize("side", ["student", "teacher"])
def test_one_side(law: Law, side: str):
    student, teacher = logits()
    ours, theirs = (hidden(x, [5]) if side == name else x for name, x in [("student", student), ("teacher", teacher)])
    if side in law.infinite:
        named = "every position of a sample" if law is LAWS["CWDLoss"] else "(class|bin) 5"
        blamed = "student" if law is LAWS["DMLLoss"] else side  # each is a student
        with pytest.raises(DataError, match=rf"{named} is −∞ in `{blamed}`.*\n  hint: "):
            value_and_gradient(law, ours, theirs, torch.arange(CLASSES))
        return
    value, gradient = value_and_gradient(law, ours, theirs, torch.arange(CLASSES))
    assert value.isfinite()
    assert gradient.isfinite().all()
    if law.limit:
        near = [x.masked_fill(x.isneginf(), -300.0) for x in (ours, theirs)]
        expected, expected_gradient = value_and_gradient(law, *near, torch.arange(CLASSES))
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, expected_gradient)


LABELLED = ["KDLSLoss", "WSLDLoss", "TfKDLoss", "USKDLoss", "TokenCELoss", "SSKDLoss", "RLDLoss"]


@pytest.mark.parametrize("name", LABELLED)
def test_a_target_that_is_ruled_out_is_named(name: str):
    student, teacher = (hidden(x, [2]) for x in logits())
    with pytest.raises(DataError, match=r"class 2 is −∞ in `student` and the target of a sample.*\n  hint: "):
        LAWS[name].value(student, teacher, TARGET.roll(-2), torch.arange(CLASSES))


@pytest.mark.parametrize("name", ["DKDLoss", "NKDLoss", "WKDLLoss", "SDDLoss-dkd"])
@pytest.mark.parametrize("left", [[0, 1, 2], [0]], ids=["a target too", "all but one class"])
def test_targets_are_compared_where_they_are_allowed(name: str, left: list[int]):
    """A target that both rule out adds nothing, nor do others where there are none."""
    student, teacher = (hidden(x, [c for c in range(CLASSES) if c not in left]) for x in logits())
    target = torch.zeros(SAMPLES, dtype=torch.long) if left == [0] else TARGET + 2
    value, gradient = value_and_gradient(LAWS[name], student, teacher, torch.arange(CLASSES), target)
    assert value.isfinite()
    assert gradient.isfinite().all()


NOT_BY_SAMPLE = ["CrossKDLoss-classes", "CWDLoss", "SKDDirectionLoss", "SKDDirectionLoss-code"]
"""Without a softmax over the classes of a sample."""


@pytest.mark.parametrize("name", [n for n in LAWS if n not in NOT_BY_SAMPLE and LAWS[n].value.__name__ != "from_cache"])
def test_a_sample_without_classes_is_an_error(name: str):
    law = LAWS[name]
    student, teacher = logits()
    student[3], teacher[3] = -math.inf, -math.inf
    with pytest.raises(DataError, match=r"every class of a sample|every bin|and the target"):
        law.value(student, teacher, TARGET, torch.arange(CLASSES))


def test_several_classes_are_counted():
    student, teacher = torch.zeros(1, 20), torch.zeros(1, 20)
    student[:, 3:] = -math.inf
    with pytest.raises(DataError, match="classes 3, 4, 5, 6, 7 and 12 others are −∞ in `student` but not in `teacher`"):
        losses.KDLoss()(student, teacher)


def test_top_k_names_the_stored_class_and_what_lies_outside():
    student, teacher = torch.zeros(1, 5), torch.tensor([[0.0, 9.0, 0.0, 8.0, 0.0]])
    top = teacher.log_softmax(1).topk(2)
    with pytest.raises(DataError, match="class 3 is −∞ in `student`"):
        losses.TopKKLLoss()(hidden(student, [3]), top.values, top.indices)
    less = (torch.zeros(1, 5).log_softmax(1)).topk(2)
    outside = [number for number in range(5) if number not in less.indices[0].tolist()]
    with pytest.raises(DataError, match="outside the stored ones"):
        losses.TopKKLLoss()(hidden(student, outside), less.values, less.indices)


def test_drawn_classes_are_named():
    with pytest.raises(DataError, match="class 4 is −∞ in `student`"):
        losses.RSKDLoss()(hidden(torch.zeros(1, 5), [4]), torch.tensor([[0.5, 0.5]]), torch.tensor([[4, 0]]))


def test_what_is_not_a_number_otherwise_is_not_explained_by_ruled_out_classes():
    student, teacher = logits()
    student[0, 0] = math.nan
    assert losses.KDLoss()(hidden(student, [5]), teacher).isnan()


def test_the_temperature_of_ctkd_keeps_its_gradient():
    student, teacher = (hidden(x, [4]) for x in logits(dtype=torch.float32))
    gradients = []
    for kept in (torch.arange(CLASSES), torch.tensor([0, 1, 2, 3, 5, 6])):
        loss = losses.CTKDLoss()
        loss(student[:, kept], teacher[:, kept]).backward()
        gradients.append(loss.theta.grad)
    torch.testing.assert_close(*gradients)


def test_without_ruled_out_classes_the_check_can_be_asked_for_anywhere():
    student, teacher = logits()
    with checks_on_every_device():
        assert losses.KDLoss()(student, teacher).isfinite()


def test_every_loss_of_a_softmax_has_a_law():
    used = r"softmax|kl_divergence|kd_divergence|cross_entropy|log_mixture|decoupled_divergences|correlation_losses"
    made = [x for x in vars(losses).values() if isinstance(x, type) and issubclass(x, nn.Module)]
    files = {inspect.getmodule(x).__name__.rpartition(".")[2] for x in made}
    with_softmax = {
        name for name in files if re.search(used, inspect.getsource(getattr(losses, name))) and name not in OTHERS
    }
    covered = {inspect.getmodule(getattr(losses, name.partition("-")[0])).__name__.rpartition(".")[2] for name in LAWS}
    assert with_softmax - covered == set()
