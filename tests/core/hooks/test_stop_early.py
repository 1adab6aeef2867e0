"""`run` ends after the last value that is needed, and never gives another result for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.hooks import Capture

from .loop import Loop


def calls(chain: nn.Sequential) -> list[int]:
    return [layer.calls for layer in chain]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4)


def test_the_rest_does_not_run(chain, x):
    expected = chain[1](chain[0](x))
    capture = Capture(chain, ["0", "1"], stop_early=True).attach()
    before = calls(chain)
    assert capture.last_module is None
    with torch.no_grad():
        for _ in range(5):
            assert torch.equal(capture.run(x)["1"], expected)
    assert [now - then for now, then in zip(calls(chain), before, strict=True)] == [5, 5, 1, 1]
    assert capture.last_module == "1"


def test_an_input_ends_before_its_module_runs(chain, x):
    capture = Capture(chain, ["2:in"], stop_early=True)
    for _ in range(5):
        assert capture.run(x)["2:in"].shape == (2, 4)
    assert calls(chain) == [5, 5, 1, 1]
    assert capture.last_module == "2"


def test_nested_modules(chain, x):
    kind = type(chain)
    model = kind(kind(chain[:2], chain[2]), chain[3]).eval()
    capture = Capture(model, ["0.0", "0.0.0"], stop_early=True)
    for _ in range(5):
        capture.run(x)
    assert calls(chain) == [5, 5, 1, 1]
    assert capture.last_module == "0.0"


def test_only_modules_need_no_forward(chain, x):
    capture = Capture(chain, ["3:module", "3:module.weight"], stop_early=True)
    assert capture.run(x)["3:module.weight"] is chain[3].weight
    assert calls(chain) == [0, 0, 0, 0]


@pytest.mark.parametrize("addresses", [["0", ""], ["0:outs"], ["0", "1:ins"]])
def test_what_needs_the_whole_forward_gets_it(chain, x, addresses):
    capture = Capture(chain, addresses, stop_early=True)
    for _ in range(3):
        capture.run(x)
    assert calls(chain) == [3, 3, 3, 3]
    assert capture.last_module == ""


def test_not_without_being_asked(chain, x):
    capture = Capture(chain, ["0"])
    for _ in range(3):
        capture.run(x)
    assert calls(chain) == [3, 3, 3, 3]
    assert capture.last_module == ""


def test_not_in_a_with_block(chain, x):
    capture = Capture(chain, ["0"], stop_early=True)
    for _ in range(3):
        capture.run(x)
    with capture:
        chain(x)
    assert calls(chain) == [4, 2, 2, 2]


def test_not_through_a_wrapper(chain, x):
    capture = Capture(nn.DataParallel(chain), ["0"], stop_early=True)
    for _ in range(3):
        capture.run(x)
    assert calls(chain) == [3, 3, 3, 3]


def test_not_in_an_offloaded_model(chain, x):
    """accelerate's hooks move weights back after a module's forward, which would not come to its end."""
    chain._hf_hook = object()
    capture = Capture(chain, ["0"], stop_early=True)
    for _ in range(3):
        capture.run(x)
    assert calls(chain) == [3, 3, 3, 3]


def test_gradients_flow_from_a_stopped_forward(chain, x):
    capture = Capture(chain, ["1"], stop_early=True)
    for _ in range(2):
        chain.zero_grad()
        capture.run(x)["1"].sum().backward()
    assert chain[0].weight.grad is not None
    assert chain[2].weight.grad is None


def test_a_module_that_is_called_more_often_for_another_shape():
    model = Loop().eval()
    capture = Capture(model, ["cell"], stop_early=True)
    for length in (1, 1, 3, 3, 1, 3):
        x = torch.randn(length, 4)
        state = torch.zeros(4)
        for part in x:
            state = model.cell(state + part)
        torch.testing.assert_close(capture.run(x)["cell"], state)


def test_another_order():
    model, x = Loop().eval(), torch.randn(1, 4)
    capture = Capture(model, ["first", "second"], stop_early=True)
    for reverse in (False, False, True, True):
        model.reverse = reverse
        taps = capture.run(x)
        start = model.cell(x[0])
        torch.testing.assert_close(taps["second" if reverse else "first"], start + 1)
        torch.testing.assert_close(taps["first" if reverse else "second"], start + 2)


def test_a_module_that_is_no_longer_called():
    model, x = Loop().eval(), torch.randn(1, 4)
    capture = Capture(model, ["cell", "first"], stop_early=True)
    for _ in range(2):
        capture.run(x)
    model.skip = True
    with pytest.raises(WiringError, match="module 'cell' of Loop was not called"):
        capture.run(x)
    model.skip = False
    assert set(capture.run(x)) == {"cell", "first"}


def test_a_second_call_seen_in_time_runs_to_the_end():
    """The cell comes before the end, so that its second call shows that this forward is not as learned."""

    class Repeats(Loop):
        times = 1

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(self.times):
                x = self.cell(x)
            return self.cell(self.first(x)) if self.times > 1 else self.first(x)

    model, x = Repeats().eval(), torch.randn(1, 4)
    capture = Capture(model, ["cell", "first"], stop_early=True)
    for _ in range(2):
        capture.run(x)
    model.times = 2
    expected = model(x)
    for _ in range(2):
        torch.testing.assert_close(capture.run(x)["cell"], expected)
    assert capture.last_module == ""


def test_a_model_that_catches_exceptions_does_not_catch_the_end(chain, x):
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.caught = chain, 0

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.inner(x)
            except Exception:  # noqa: BLE001 - what this test is about
                self.caught += 1
                return x

    model = Careful().eval()
    capture = Capture(model, ["inner.0"], stop_early=True)
    for _ in range(3):
        capture.run(x)
    assert calls(chain) == [3, 1, 1, 1]
    assert model.caught == 0


def test_a_real_error_comes_through(chain, x):
    capture = Capture(chain, ["3"], stop_early=True)
    capture.run(x)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        capture.run(torch.randn(2, 5))
    assert capture.run(x)["3"].shape == (2, 4)


def test_an_outer_capture_survives_an_inner_end(chain, x):
    """The inner capture ends only the forward of its model."""

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.capture = Capture(chain, ["1"], stop_early=True)
            self.last = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.capture.run(x)["1"])

    outer = Capture(Outer().eval(), ["last"], stop_early=True)
    for _ in range(3):
        assert outer.run(x)["last"].shape == (2, 4)
    assert calls(chain) == [3, 3, 1, 1]


def test_an_inner_capture_lets_the_outer_end_pass(chain, x):
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = chain

        def forward(self, x: Tensor) -> Tensor:
            return Capture(self.chain, ["3"]).run(x)["3"]

    outer = Capture(Outer().eval(), ["chain.0"], stop_early=True)
    for _ in range(3):
        assert outer.run(x)["chain.0"].shape == (2, 4)
    assert calls(chain) == [3, 1, 1, 1]
