"""Addresses and fields that a capture refuses, and modules that were not called."""

from __future__ import annotations

import pytest

from distill_core.errors import WiringError
from distill_core.hooks import Capture


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


def test_a_capture_in_itself_is_refused(net):
    capture = Capture(net, ["shared"])
    with capture, pytest.raises(RuntimeError, match=r"^this Capture is already recording"), capture:
        pass
