"""A plain chain is cut behind the last module that is needed: the rest never runs, and need not even be there."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from distill_core.hooks import Capture, head


def layer(count: int = 4) -> nn.Linear:
    return nn.Linear(count, count)


@pytest.fixture
def model() -> nn.Sequential:
    """A body with a head that has no memory: whoever runs it, or moves it, fails."""
    body = nn.Sequential(layer(), nn.ReLU(), layer(), nn.Linear(4, 4, device="meta"))
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(4, 9, device="meta"))).eval()


def names(part: nn.Module) -> list[str]:
    return [name for name, _ in part.named_modules() if name]


@pytest.mark.parametrize("taps", [["body.0"], ["body.2:in", "body.0"], ["body.1", "head:module.weight"]])
def test_the_rest_is_not_run_from_the_first_call_on(model, taps):
    x = torch.randn(2, 4)
    capture = Capture(model, taps, stop_early=True)
    for _ in range(3):
        found = capture.run(x)
        assert list(found) == taps
    expected = {"body.0": model.body[0](x), "body.1": model.body[:2](x), "body.2:in": model.body[:2](x)}
    assert all(torch.equal(found[tap], value) for tap, value in expected.items() if tap in found)


def test_what_is_needed(model):
    assert names(head(model, [model.body[1]])) == ["body", "body.0", "body.1"]
    assert names(head(model, [model.body])) == ["body", *(f"body.{n}" for n in range(4))]
    assert head(model, [model.head, model.body[0]]) is model
    assert head(model, [model]) is model
    assert head(model, []) is model
    model.body.train()
    model.body[0].eval()
    short = head(model, [model.body[1]])
    assert [short.training, short.body.training, model.body[0].training] == [False, True, False]


def test_a_module_that_comes_again_is_needed_again():
    relu = nn.ReLU()
    model = nn.Sequential(layer(), relu, layer(), relu, layer())
    assert len(head(model, [relu])) == 4


class Skips(nn.Sequential):
    def forward(self, x):
        return self[0](x) + self[1](x)


@pytest.mark.parametrize(
    "other",
    [
        lambda chain: Skips(*chain),
        lambda chain: nn.ModuleList(chain),
        lambda chain: (chain.register_forward_hook(lambda *_: None), chain)[1],
        lambda chain: (chain.register_forward_pre_hook(lambda *_: None), chain)[1],
        lambda chain: (setattr(chain, "_hf_hook", object()), chain)[1],
    ],
    ids=["own forward", "list", "hook", "hook before", "offloaded"],
)
def test_what_is_no_plain_chain_stays_whole(other):
    model = other(nn.Sequential(layer(), layer(), layer()))
    assert head(model, [model[0]]) is model


def test_a_module_that_was_replaced_meanwhile(model):
    x, capture = torch.randn(2, 4), Capture(model, ["body.0"], stop_early=True)
    model.body[0] = nn.Identity()
    assert torch.equal(capture.run(x)["body.0"], x)


def test_a_compiled_chain_is_cut_in_its_graph(model):
    graphs = []

    def record(module, _inputs):
        graphs.append([str(node.target) for node in module.graph.nodes if node.op == "call_function"])
        return module.forward

    capture = Capture(model, ["body.0"], stop_early=True).attach(for_run=True)
    x = torch.randn(2, 4)
    torch.compiler.reset()  # tests before this one may have compiled `run` as often as torch will
    found = torch.compile(capture.run, backend=record, fullgraph=True)(x)
    assert torch.equal(found["body.0"], model.body[0](x))
    assert [sum("linear" in name for name in graph) for graph in graphs] == [1]
    torch.compiler.reset()
