"""Captured values: ports, fields, several calls, structures; and what is not kept."""

from __future__ import annotations

import copy
import gc
import weakref
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.hooks import Capture

Pair = namedtuple("Pair", ["first", "second"])


@dataclass(frozen=True)
class Output:
    logits: Tensor
    hidden: tuple[Tensor, ...]


class Block(nn.Module):
    def forward(self, x: Tensor, scale: float = 1.0, *, mask: Tensor | None = None) -> Output:
        return Output(x * scale, (x + 1, x + 2))


class Net(nn.Module):
    """Calls a shared layer three times and a block by position and by name."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.block = Block()
        self.unused = nn.Linear(4, 4)
        self.by_name = False

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for _ in range(3):
            x = self.shared(x)
        mask = x > 0
        out = self.block(x=x, scale=2.0, mask=mask) if self.by_name else self.block(x, 2.0, mask=mask)
        return {"logits": out.logits, "aux": x}


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def x():
    return torch.randn(2, 4)


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


def test_values_show_inside_the_block(net, x):
    with Capture(net, ["shared"]) as taps:
        with pytest.raises(WiringError, match="was not called"):
            taps["shared"]
        net(x)
        inside = taps["shared"]
    assert taps["shared"] is inside


def test_other_keys(net, x):
    with Capture(net, ["shared"]) as taps:
        net(x)
    with pytest.raises(KeyError):
        taps["block"]
    assert "block" not in taps
    assert repr(taps) == "Captured('shared')"


MISS = "hooks see calls of the module, not of its 'forward' or weights; attach them before 'torch.compile'"


@pytest.mark.parametrize(
    ("address", "name", "message"),
    [
        ("unused", "student", "'student.unused': module 'unused' of student (Net) was not called"),
        ("unused:in", "", "'model.unused:in': module 'unused' of Net was not called"),
        ("unused:outs", "student", "'student.unused:outs': module 'unused' of student (Net) was not called"),
    ],
)
def test_a_module_that_is_not_called(net, x, address, name, message):
    with pytest.raises(WiringError) as caught:
        Capture(net, ["shared", address], name=name).run(x)
    assert str(caught.value) == f"{message}\n  hint: {MISS}"
    with Capture(net, ["shared", address], name=name) as taps:
        net(x)
    assert taps["shared"].shape == (2, 4)
    with pytest.raises(WiringError) as caught:
        taps[address]
    assert str(caught.value) == f"{message}\n  hint: {MISS}"


def test_the_model_that_is_not_called(net, x):
    with Capture(net, [""], name="student") as taps:
        net.forward(x)
    with pytest.raises(WiringError) as caught:
        taps[""]
    assert str(caught.value) == f"'student': student (Net) was not called\n  hint: {MISS}"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sharde", "student (Net) has no module 'sharde'\n  hint: did you mean 'shared'?"),
        ("shared:inn", "'student.shared:inn' has no port 'inn'\n  hint: did you mean 'in'?"),
        (
            "block:in.msak",
            "'student.block:in.msak': Block.forward has no parameter 'msak'\n  hint: did you mean 'mask'?",
        ),
        (3, "3 is not an address\n  hint: write it like 'layer1', 'layer1:in' or '' for the model's output"),
    ],
)
def test_addresses_are_refused_before_anything_runs(net, address, message):
    with pytest.raises(WiringError) as caught:
        Capture(net, [address], name="student")
    assert str(caught.value) == message


def test_an_input_that_was_not_passed(net, x):
    with pytest.raises(WiringError) as caught:
        Capture(net.shared, [":in.1"], name="student").run(x)
    assert str(caught.value) == (
        "'student:in.1': Linear was called without the input 1\n  hint: inputs by position: 1; by name: none"
    )


def test_a_field_that_the_output_lacks(net, x):
    with pytest.raises(WiringError) as caught:
        Capture(net, [":out.logit"], name="student").run(x)
    assert str(caught.value) == "'student:out.logit': dict has no field 'logit'\n  hint: did you mean 'logits'?"


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_hooks_go_with_the_block(net, x):
    capture = Capture(net, ["shared", "block:in"])
    assert hooks_on(net) == 0
    with capture:
        assert hooks_on(net) == 2
    assert hooks_on(net) == 0
    capture.run(x)
    assert hooks_on(net) == 0


def test_attached_hooks_stay_and_are_silent(net, x):
    capture = Capture(net, ["shared", "block:in"]).attach()
    capture.attach()
    assert hooks_on(net) == 2
    net(x)
    with capture as taps:
        pass
    with pytest.raises(WiringError, match="was not called"):
        taps["shared"]
    assert capture.run(x)["shared"].shape == (2, 4)
    assert hooks_on(net) == 2
    capture.detach()
    assert hooks_on(net) == 0


@pytest.mark.parametrize("attached", [False, True])
def test_nothing_is_kept(net, x, attached):
    capture = Capture(net, ["shared", "shared:outs", "", "block"])
    if attached:
        capture.attach()
    for _ in range(2):
        taps = capture.run(x)
        seen = [weakref.ref(taps["shared"]), *map(weakref.ref, taps["shared:outs"]), weakref.ref(taps["block"].logits)]
        del taps
        assert [ref() for ref in seen] == [None] * len(seen)
    with capture as taps:
        net(x)
    seen = [weakref.ref(taps["shared"]), weakref.ref(taps["block"].hidden[0])]
    del taps
    assert [ref() for ref in seen] == [None, None]


def test_a_forward_that_fails(net, x):
    capture = Capture(net, ["shared", "shared:outs"]).attach()
    seen = []
    net.shared.register_forward_hook(lambda module, args, output: seen.append(weakref.ref(output)))
    net.block.register_forward_pre_hook(lambda module, args: 1 / 0)
    with pytest.raises(ZeroDivisionError), capture as taps:
        net(x)
    with pytest.raises(WiringError) as caught:
        taps["shared"]
    assert str(caught.value) == "'shared' has no value: the forward failed"
    assert not capture._recording
    gc.collect()  # the traceback
    assert [ref() for ref in seen] == [None] * 3
    with pytest.raises(ZeroDivisionError):
        capture.run(x)
    assert all(not record.kept for record in capture._records.values())


def test_two_captures_of_one_model(net, x):
    first, second = Capture(net, ["shared"]), Capture(net, ["shared", "block:in"])
    with first as outer, second as inner:
        net(x)
    assert outer["shared"] is inner["shared"] is inner["block:in"]
    with first as outer:
        taps = second.run(x)
    assert outer["shared"] is taps["shared"]


def test_a_capture_in_itself_is_refused(net):
    capture = Capture(net, ["shared"])
    with capture, pytest.raises(RuntimeError, match=r"^this Capture is already recording"), capture:
        pass


def test_a_copy_of_the_model_is_not_recorded(net, x):
    capture = Capture(net, ["shared"]).attach()
    other = copy.deepcopy(net)
    with capture as taps:
        output = net(x)
        other(x + 1)
    assert taps["shared"] is output["aux"]


def test_a_module_that_was_replaced_meanwhile(net, x):
    capture = Capture(net, ["shared"])
    net.shared = nn.Linear(4, 4)
    capture.attach()
    assert capture.run(x)["shared"].shape == (2, 4)


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
