"""Gradients of three processes, forked by one that has imported torch once."""

from __future__ import annotations

import pytest

FORK = """
import os, sys, tempfile, weakref
import torch
import torch._dynamo  # takes seconds, and every process needs it
import torch.distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint
from distill_core.distributed import sum_over_processes
from distill_core.errors import TrainingError
from distill_core.optim import DOT
from distill_core.train.step._backward import SplitBackward
from distill_core.train.parallel._ddp import DataParallel

torch.set_num_threads(1)
SMALL = 600 / 2**20  # MiB: several buckets


def backward(parallel, loss, last=True):
    with parallel.averaged(last=last):
        (total,), _ = parallel(lambda: ((loss(),), {}))
        total.backward()



def say(words):
    os.write(1, f"{words}\\n".encode())  # at once, so that the processes' lines do not mix


def three(work):
    place = "file://" + os.path.join(tempfile.mkdtemp(), "meet")
    children = []
    for rank in range(3):
        if child := os.fork():
            children.append(child)
            continue
        code = 1
        try:
            dist.init_process_group("gloo", init_method=place, rank=rank, world_size=3)
            work(rank)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""

MEAN = """
def mean(rank, dtype=None, tolerance=None):
    torch.manual_seed(rank)  # the values of the first process are taken
    chain = nn.Sequential(nn.Linear(7, 33), nn.Tanh(), nn.Linear(33, 29), nn.Tanh(), nn.Linear(29, 3))
    alone = nn.Linear(7, 3)  # used by one process only
    model = nn.ModuleDict({"chain": chain, "alone": alone, "never": nn.Linear(7, 3)})
    parallel = DataParallel(model, reduce_dtype=dtype, bucket=SMALL)
    same = sum_over_processes(chain[0].weight) / 3
    torch.testing.assert_close(same, chain[0].weight.detach())
    for step in range(3):
        model.zero_grad()
        batches = torch.randn(3, 2, 4, 7, generator=torch.Generator().manual_seed(step))
        for number in range(2):  # two batches make a step
            def loss():
                value = chain(batches[rank, number]).square().mean()
                return value + alone(batches[rank, number]).square().mean() if (rank, number) == (1, 0) else value

            backward(parallel, loss, last=number == 1)
        found = {name: parameter.grad for name, parameter in model.named_parameters()}
        assert found.pop("never.weight") is None and found.pop("never.bias") is None
        model.zero_grad()
        expected = sum(chain(batches[other, number]).square().mean() for other in range(3) for number in range(2)) / 3
        (expected + alone(batches[1, 0]).square().mean() / 3).backward()
        exact = {name: parameter.grad for name, parameter in model.named_parameters() if name in found}
        torch.testing.assert_close(found, exact, atol=tolerance, rtol=tolerance)
    wrapper = weakref.ref(parallel._ddp)
    assert len(wrapper()._get_ddp_logging_data()["rebuilt_bucket_sizes"].split(",")) > 2
    parallel.end()
    assert wrapper() is None
    model.zero_grad()
    chain(batches[rank, 0]).sum().backward()  # without a hook: nobody else takes part
    say(len({gradient.dtype for gradient in found.values()}))
    return found


def work(rank):
    exact = mean(rank)
    rounded = mean(rank, torch.bfloat16, 0.02)
    assert not any(torch.allclose(exact[name], rounded[name], rtol=1e-5) for name in exact if name.endswith("weight"))

three(work)
"""

BITS = """
def gradients(parallel, model, rank, step):
    model.zero_grad()
    batch = torch.randn(3, 16, 33, generator=torch.Generator().manual_seed(step))[rank]
    backward(parallel, lambda: model(batch).square().mean())
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def work(rank):
    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(33, 47), nn.Tanh(), nn.Linear(47, 29), nn.Tanh(), nn.Linear(29, 3))

    for bucket in (None, SMALL):
        first, second = network(), network()
        parallel = DataParallel(first, bucket=bucket)
        for step in range(3):
            undisturbed = gradients(parallel, first, rank, step)
        assert torch.equal(undisturbed, gradients(DataParallel(second, bucket=bucket), second, rank, 2))
    say("done")

three(work)
"""

NESTED = """
def work(rank):
    model = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    x = torch.ones(2, 4, requires_grad=True)
    def block(x):
        return checkpoint(model[1], x, use_reentrant=True).sum()
    # The layer is in two blocks; in a block and outside of it; the only one that learns, so that torch raises nothing.
    for loss in (lambda: block(model[0](block(x) * x)), lambda: block(model[1](x)), lambda: block(model[1](x))):
        parallel = DataParallel(model, bucket=1 / 2**20)
        try:
            backward(parallel, loss)
        except TrainingError as error:
            say(error)
        parallel.end()
        model[0].requires_grad_(False)

three(work)
"""


APART = """
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.chain = nn.Sequential(nn.Linear(7, 33), nn.Tanh(), nn.Linear(33, 3))
        self.task, self.kd = nn.Linear(3, 2), nn.Linear(3, 2)  # each reached by one of the two
        self.rare = nn.Linear(3, 2)  # by that of one process only

    def forward(self, batch, weights):
        output = self.chain(batch["input"])
        kd = self.kd(output).abs().mean()
        kd = kd + self.rare(output).square().mean() if batch["rare"] else kd
        return (self.task(output).square().mean(), kd), {}


def gradients(optimizer):
    return [(p.grad, optimizer.separate_gradients.get(p)) for p in optimizer.param_groups[0]["params"]]


def work(rank):
    torch.manual_seed(0)
    model = Two()
    optimizer, alone = DOT(model.parameters(), lr=0.1), DOT(model.parameters(), lr=0.1)
    split = SplitBackward(model, DataParallel(model, is_split=True, bucket=SMALL), optimizer, is_compiled=False)
    batches = torch.randn(3, 2, 4, 7, generator=torch.Generator().manual_seed(1))
    for number in range(2):
        split({"input": batches[rank, number], "rare": rank == 1}, {}, 0.5, last=number == 1)
    found = gradients(optimizer)
    optimizer.zero_grad()
    for other in range(3):
        for number in range(2):
            task, kd = model({"input": batches[other, number], "rare": other == 1}, {})[0]
            with alone.separate():
                (kd / 6).backward(retain_graph=True)
            (task / 6).backward()
    for mine, whole in zip(found, gradients(alone), strict=True):
        torch.testing.assert_close(mine, whole)
    names = [name for name, _ in model.named_parameters()]
    assert [pair[0] is None for pair in found] == [name.startswith(("kd", "rare")) for name in names]
    assert [pair[1] is None for pair in found] == [name.startswith("task") for name in names]
    say("done")

three(work)
"""

COMPILED = """
def work(rank):
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(512, 512, bias=False) for _ in range(4)))  # 1 MiB each: the first bucket holds one
    graphs = []
    @torch.compile(backend=lambda graph, inputs: graphs.append(graph) or graph)
    def total(batch):
        return model(batch).square().mean()
    batch = torch.randn(3, 4, 512)
    backward(DataParallel(model, bucket=1.0), lambda: total(batch[rank]))
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    (sum(model(part).square().mean() for part in batch) / 3).backward()
    torch.testing.assert_close(found, [parameter.grad for parameter in model.parameters()])
    say(len(graphs) > 1)

three(work)
"""


@pytest.fixture(scope="module")
def said(python):
    """What the three processes printed, for each of the scripts."""
    break_ = "print('====', flush=True)"
    scripts = {"mean": MEAN, "bits": BITS, "apart": APART, "nested": NESTED, "compiled": COMPILED}
    parts = python("\n".join([FORK, f"\n{break_}\n".join(scripts.values())])).stdout.split("====\n")
    return dict(zip(scripts, parts, strict=True))


def test_the_mean_over_processes_with_tensors_that_some_or_all_leave_without_a_gradient(said):
    assert said["mean"] == "1\n" * 6


def test_a_fresh_start_gives_the_bits_of_one_that_has_run_for_long(said):
    """With `DistributedDataParallel` alone it does not: from its second step on its buckets are others."""
    assert said["bits"] == "done\n" * 3


def test_both_gradients_are_those_of_one_process(said):
    """Two batches make a step; some tensors are reached by one of the two only, some in one process only."""
    assert said["apart"] == "done\n" * 3


def test_a_gradient_that_changes_after_it_was_sent_is_an_error(said):
    assert said["nested"] == 9 * (
        "a backward pass within the backward pass changed a gradient that had been sent to the other processes\n"
        "  hint: checkpoint activations with use_reentrant=False\n"
    )


def test_a_compiled_graph_is_split_so_that_its_gradients_are_sent_during_the_backward_pass(said):
    assert said["compiled"] == "True\n" * 3
