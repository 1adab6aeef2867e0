"""Captured values: ports, fields, several calls and structures."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.hooks import Capture

from .networks import Output

Pair = namedtuple("Pair", ["first", "second"])


def test_three_lines(net, x):
    with Capture(net, ["shared:in", "block:out.logits"]) as taps:
        output = net(x)
    assert list(taps) == ["shared:in", "block:out.logits"]
    assert len(taps) == 2
    assert taps["block:out.logits"] is output["logits"]


def test_the_model_itself(net, x):
    with Capture(net, ["", ":in", ":out.aux", ":module"]) as taps:
        output = net(x)
    assert taps[""]["logits"] is output["logits"]
    assert taps[":in"] is x
    assert taps[":out.aux"] is output["aux"]
    assert taps[":module"] is net


@pytest.mark.parametrize("by_name", [False, True])
def test_inputs_however_they_were_passed(net, x, by_name):
    net.by_name = by_name
    taps = Capture(net, ["block:in", "block:in.0", "block:in.1", "block:in.scale", "block:in.mask", "block:in.x"]).run(
        x
    )
    assert taps["block:in"] is taps["block:in.0"] is taps["block:in.x"]
    assert taps["block:in.1"] == taps["block:in.scale"] == 2.0
    assert torch.equal(taps["block:in.mask"], taps["block:in"] > 0)


def test_several_calls(net, x):
    taps = Capture(net, ["shared", "shared:in", "shared:outs", "shared:ins", "block:outs.logits"]).run(x)
    first, second, third = taps["shared:outs"]
    assert torch.equal(first, net.shared(x))
    assert taps["shared:ins"][0] is x
    assert taps["shared:ins"][1:] == [first, second]
    assert taps["shared"] is third
    assert taps["shared:in"] is second
    assert len(taps["block:outs.logits"]) == 1


def test_modules_and_parameters(net, x):
    taps = Capture(net, ["shared:module", "shared:module.weight"]).run(x)
    assert taps["shared:module"] is net.shared
    assert taps["shared:module.weight"] is net.shared.weight


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: (x, x + 1),
        lambda x: [x, {"a": x + 1}],
        lambda x: {"a": x, "b": None, "c": 3},
        lambda x: OrderedDict(a=x),
        lambda x: Pair(x, [x + 1]),
        lambda x: Output(x, (x + 1,)),
    ],
)
def test_structures_stay_what_they_are(make, x):
    class Maker(nn.Module):
        def forward(self, x: Tensor) -> object:
            return make(x)

    model = nn.Sequential(Maker(), nn.Identity())
    output = model(x)
    capture = Capture(model, ["0"])
    for _ in range(2):
        value = capture.run(x)["0"]
        assert type(value) is type(output)
        torch.utils._pytree.tree_map(torch.testing.assert_close, _plain(value), _plain(output))


def _plain(value):
    return vars(value) if isinstance(value, Output) else value


def test_a_list_that_the_model_goes_on_to_fill(x):
    class Appends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x: Tensor) -> list[Tensor]:
            features = self.inner([x])
            features.append(x + 1)
            return features

    assert len(Capture(Appends(), ["inner"]).run(x)["inner"]) == 1


def test_a_hugging_face_output(x):
    output_class = pytest.importorskip("transformers.modeling_outputs").SequenceClassifierOutput

    class Model(nn.Module):
        def forward(self, x: Tensor) -> object:
            return output_class(logits=x, attentions=(x + 1, x + 2))

    class Plain(nn.Module):
        def forward(self, x: Tensor) -> object:
            return output_class(logits=x)

    taps = Capture(Model(), ["", ":out.logits", ":out.attentions.-1", ":out.0"]).run(x)
    assert type(taps[""]) is output_class
    assert taps[":out.logits"] is taps[":out.0"] is taps[""].logits is x
    assert torch.equal(taps[":out.attentions.-1"], x + 2)
    with pytest.raises(WiringError) as caught:
        Capture(Model(), [":out.hidden_states"], name="student").run(x)
    assert str(caught.value) == (
        "'student:out.hidden_states': SequenceClassifierOutput has no field 'hidden_states'\n"
        "  hint: create the model with hidden_states: true (output_hidden_states of its config)"
    )
    with pytest.raises(WiringError) as caught:
        Capture(Plain(), [":out.attentions"], name="student").run(x)
    assert str(caught.value) == (
        "'student:out.attentions': SequenceClassifierOutput has no field 'attentions'\n"
        "  hint: create the model with attentions: true (output_attentions of its config, and attn_implementation: eager, because SDPA returns none)"
    )


def test_gradients_are_those_of_the_graph(net, x):
    taps = Capture(net, ["shared:outs"]).run(x)
    taps["shared:outs"][1].square().sum().backward()
    found = net.shared.weight.grad.clone()
    net.zero_grad()
    net.shared(net.shared(x)).square().sum().backward()
    torch.testing.assert_close(found, net.shared.weight.grad)


def test_resnet_equals_hooks_by_hand():
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.resnet18(num_classes=10).eval()
    x = torch.randn(2, 3, 32, 32)
    by_hand = {}

    def note(name):
        return lambda module, args, output: by_hand.update({name: output.clone(), f"{name}:in": args[0].clone()})

    names = ["bn1", "layer1.0.bn2", "layer3.1.bn2", "layer4", "avgpool", "fc"]
    handles = [model.get_submodule(name).register_forward_hook(note(name)) for name in names]
    expected = model(x)
    for handle in handles:
        handle.remove()
    capture = Capture(model, [*names, *(f"{name}:in" for name in names), ""])
    for _ in range(2):
        taps = capture.run(x)
        torch.testing.assert_close({name: taps[name] for name in by_hand}, by_hand, rtol=0, atol=0)
        assert torch.equal(taps[""], expected)
    assert taps["bn1"].min() < 0  # the ReLU in place has not touched it
