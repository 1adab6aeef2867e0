"""How long hooks and captured values exist: with the block, attached, after a failed forward, in copies."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
from torch import nn

from distill_core.errors import WiringError
from distill_core.hooks import Capture


def test_values_show_inside_the_block(net, x):
    with Capture(net, ["shared"]) as taps:
        with pytest.raises(WiringError, match="was not called"):
            taps["shared"]
        net(x)
        inside = taps["shared"]
    assert taps["shared"] is inside


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
