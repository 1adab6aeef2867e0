"""The codecs of a cached teacher: their effect on the loss, their fields, and wirings that they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from distill_core.errors import WiringError
from distill_core.train import Callback, Term, Trainer

from ..state_dicts import same
from .caching import Calls, cached, weights


class LossLog(Callback):
    def __init__(self):
        self.losses = []

    def on_log(self, trainer, record):
        self.losses.append(record["loss"])


@pytest.mark.parametrize(("codec", "tolerance"), [("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 3e-2)])
def test_lossy_codecs_change_the_loss_little(run, tmp_path, codec, tolerance):
    live, lossy = LossLog(), LossLog()
    Trainer(run.experiment(None, views=2), callbacks=[live]).fit()
    building = run.experiment(None, cache=cached(tmp_path, codec))
    Trainer(building, callbacks=[lossy]).fit()
    assert live.losses != lossy.losses
    torch.testing.assert_close(torch.tensor(lossy.losses), torch.tensor(live.losses), rtol=0, atol=tolerance)
    again = LossLog()
    Trainer(run.experiment(None, cache=cached(tmp_path, codec)), callbacks=[again]).fit()
    assert again.losses == lossy.losses  # what is read is what was given while building


class FewClasses(nn.Module):
    """Cross-entropy with a few weighted classes."""

    def forward(self, student, weights, index):
        return -(weights * student.log_softmax(1).gather(1, index)).sum(1).mean()


def few(student, log_probs, index):
    return -(log_probs.exp() * student.log_softmax(1).gather(1, index)).sum(1).mean()


@pytest.mark.parametrize("codec", ["topk-2", "sampled-8"])
def test_sparse_codecs_give_their_fields(run, tmp_path, codec):
    first = "log_probs" if codec == "topk-2" else "weights"
    loss = few if codec == "topk-2" else FewClasses()
    inputs = {"student": "student", first: f"teacher:out.{first}", "index": "teacher:out.index"}
    terms = {"kd": Term(loss=loss, inputs=inputs)}
    results = []
    for _ in range(2):
        made = run.experiment(None, cache=cached(tmp_path, codec))
        calls = Calls(made.models["teacher"][0])
        results.append(weights(replace(made, stages=[replace(made.stages[0], losses=terms)])))
    assert calls.count == 0
    assert same(*results)


REFUSED = [
    ("topk-2", {"teacher": "teacher"}, "losses.kd: KDLike takes 'teacher', but the codec 'topk-2' of cache.teacher gives "
     "'teacher:out.log_probs' and 'teacher:out.index'\n  hint: use the codec float32, float16, bfloat16 or int8"),
    ("topk-2", {"teacher": "teacher:out.weights"}, "losses.kd: KDLike takes 'teacher:out.weights', but the codec 'topk-2' of "
     "cache.teacher gives 'teacher:out.log_probs' and 'teacher:out.index'\n  hint: use the codec 'sampled-64'"),
    ("float16", {"teacher": "teacher:out.log_probs", "index": "teacher:out.index"}, "losses.kd: KDLike takes "
     "'teacher:out.log_probs' and 'teacher:out.index', but the codec 'float16' of cache.teacher gives the complete tensor\n"
     "  hint: use the codec 'topk-8'"),
]  # fmt: skip


class KDLike(nn.Module):
    def forward(self, student, teacher, index=None):
        return nn.functional.mse_loss(student, teacher)


@pytest.mark.parametrize(("codec", "inputs", "message"), REFUSED)
def test_what_a_codec_cannot_give_is_refused_before_the_first_step(run, tmp_path, codec, inputs, message):
    made = run.experiment(None, cache=cached(tmp_path, codec))
    calls = Calls(made.models["teacher"][0])
    terms = {"kd": Term(loss=KDLike(), inputs={"student": "student", **inputs})}
    with pytest.raises(WiringError) as failure:
        weights(replace(made, stages=[replace(made.stages[0], losses=terms)]))
    assert str(failure.value) == message
    assert calls.count == 0


def test_each_tap_has_its_own_codec(run, tmp_path):
    """The output as a few classes, one feature map in eight bits, the other exactly."""
    codec = {"teacher": "topk-2", "teacher.1": "int8"}
    inputs = {"student": "student", "log_probs": "teacher:out.log_probs", "index": "teacher:out.index"}
    results = []
    for _ in range(2):
        made = run.experiment(None, cache=cached(tmp_path, codec))
        calls = Calls(made.models["teacher"][0])
        terms = {**made.stages[0].losses, "kd": Term(loss=few, inputs=inputs)}
        results.append(weights(replace(made, stages=[replace(made.stages[0], losses=terms)])))
    assert calls.count == 0
    assert same(*results)
    (shard, _) = sorted(tmp_path.glob("teacher-*/view-*.safetensors"))
    types = {name: (tensor.dtype, *tensor.shape[1:]) for name, tensor in load_file(shard).items()}
    assert types == {
        "#log_probs": (torch.float32, 2), "#index": (torch.int32, 2), "1#values": (torch.int8, 16, 8, 8),
        "1#scale": (torch.float32,), "5#values": (torch.float32, 16, 4, 4), "#input": (torch.int64,),
    }  # fmt: skip
    made = run.experiment(None, cache=cached(tmp_path, codec))
    with pytest.raises(WiringError) as failure:
        weights(made)
    assert str(failure.value) == (
        "losses.kd: kd takes 'teacher', but the codec 'topk-2' of cache.teacher gives 'teacher:out.log_probs' and "
        "'teacher:out.index'\n  hint: use the codec float32, float16, bfloat16 or int8"
    )
