"""Laws: properties of every loss, for each case of the table."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import distill_core.losses
from distill_core import registry
from distill_core.layers import reduction_scope_of

from .cases import Case, apply, samples, table, tensors, twin, value_and_gradients

TABLE = table()
KINDS = {
    "random": lambda inputs: inputs,
    "equal": lambda inputs: {**inputs, "teacher": apply(torch.clone, inputs["student"])},
    "zero": lambda inputs: {
        k: apply(torch.zeros_like, v) if k in {"student", "teacher"} else v for k, v in inputs.items()
    },
    "huge": lambda inputs: {
        k: apply(lambda x: (x * 1e4).clamp(-6e4, 6e4), v) if k in {"student", "teacher"} else v
        for k, v in inputs.items()
    },
}
HALVES = [torch.float16, torch.bfloat16]

every_case = pytest.mark.parametrize("case", TABLE, ids=str)


def cases_where(attribute: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [case for case in TABLE if getattr(case, attribute)], ids=str)


def can_be_equal(case: Case) -> bool:
    inputs = case.draw(2)
    shapes = [[x.shape for x in tensors(inputs.get(name, []))] for name in ("student", "teacher")]
    return shapes[0] == shapes[1] != []


def student_of(inputs: dict) -> list[torch.Tensor]:
    """The student's tensors, made to take gradients."""
    return [x.requires_grad_() for x in tensors(inputs.get("student", []))]


def learned(case: Case, loss: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in loss.named_parameters() if case.is_learned(name)}


def test_every_loss_has_a_case():
    exported = {n for n, x in vars(distill_core.losses).items() if isinstance(x, type) and issubclass(x, nn.Module)}
    assert {type(case.loss()).__name__ for case in TABLE} == exported


def test_names_of_cases_are_unique_and_begin_with_the_class():
    assert len({case.name for case in TABLE}) == len(TABLE)
    assert [case.name for case in TABLE if case.name.partition("-")[0] != type(case.loss()).__name__] == []


@every_case
def test_declares_itself(case: Case):
    loss = type(case.loss())
    assert {loss.reduction_scope, case.loss().reduction_scope} <= {"sample", "gathered", "token", "local", "unknown"}
    assert registry.lookup(loss.__name__) is loss
    assert registry.reference(sys.modules[loss.__module__].__doc__).link.startswith("https://")


@every_case
def test_speaks_the_names_of_the_house(case: Case):
    loss = type(case.loss())
    taken = inspect.signature(loss.forward).parameters.values()
    names = {"self", "student", "teacher", "target", "index", "mask"}
    if loss.__name__ == "FGDLoss":
        names.add("images")  # a detector's boxes are in pixels of these
    assert {p.name for p in taken} <= names
    made = inspect.signature(loss).parameters.values()
    assert "weight" not in {p.name for p in made}
    assert all(p.kind is not p.VAR_KEYWORD for p in [*taken, *made])


@pytest.mark.parametrize(
    ("case", "kind"),
    [(case, kind) for case in TABLE for kind in KINDS if kind != "equal" or can_be_equal(case)],
    ids=str,
)
def test_is_a_finite_scalar_with_finite_gradients(case: Case, kind: str):
    loss, inputs = case.ready(), KINDS[kind](case.draw())
    value, gradients = value_and_gradients(loss, inputs, [*student_of(inputs), *learned(case, loss).values()])
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


@every_case
def test_gradient_reaches_student_and_parameters_but_not_the_teacher(case: Case):
    loss, inputs = case.ready(), case.draw()
    teacher = [x.requires_grad_() for x in tensors(inputs.get("teacher", []))]
    students, parameters = student_of(inputs), learned(case, loss)
    torch.manual_seed(2)
    loss(**inputs).backward()
    assert [x.grad for x in teacher] == [None] * len(teacher)
    assert all(x.grad is not None and x.grad.any() for x in students)
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.any()] == []
    assert [name for name, p in loss.named_parameters() if name not in parameters and p.grad is not None] == []
    assert students or parameters


@every_case
def test_leaves_its_inputs_as_they_are(case: Case):
    inputs = case.draw()
    case.ready()(**inputs)
    before, after = ([x for x in tree_leaves(x) if isinstance(x, torch.Tensor)] for x in (case.draw(), inputs))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@every_case
def test_evaluation_changes_no_state(case: Case):
    loss = case.ready().eval()
    before = twin(loss).state_dict()
    loss(**case.draw())
    torch.testing.assert_close(dict(loss.state_dict()), dict(before), rtol=0, atol=0, equal_nan=True)


@every_case
def test_state_dict_round_trip(case: Case):
    loss = case.ready()
    loss(**case.draw(seed=3))
    fresh = case.loss()
    fresh.load_state_dict(loss.state_dict())
    torch.manual_seed(4)
    expected = loss(**case.draw())
    torch.manual_seed(4)
    assert torch.equal(fresh.train()(**case.draw()), expected)


@every_case
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("kind", ["random", "zero", "huge"])
def test_half_precision_inputs(case: Case, dtype: torch.dtype, kind: str):
    loss, inputs = case.ready(), apply(lambda x: x.to(dtype), KINDS[kind](case.draw()))
    same, single = twin(loss), apply(lambda x: x.float(), inputs)
    value, gradients = value_and_gradients(loss, inputs, student_of(inputs))
    expected, expected_gradients = value_and_gradients(same, single, student_of(single))
    assert value.dtype == torch.float32
    beyond = case.overflows_half and kind == "huge" and dtype == torch.float16
    assert beyond or all(gradient.isfinite().all() for gradient in gradients)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    for gradient, exact in zip(gradients, expected_gradients, strict=True):
        rounded = exact.to(dtype).float()  # a gradient has its tensor's dtype
        assert beyond or (gradient.float() - rounded).norm() <= 4 * torch.finfo(dtype).eps * rounded.norm() + 1e-6


@every_case
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("moved", [False, True], ids=["autocast", "moved"])
def test_half_precision_parameters(case: Case, dtype: torch.dtype, moved: bool):
    loss, inputs = case.ready(), case.draw()
    torch.manual_seed(2)
    expected = twin(loss)(**inputs).detach()
    halved = apply(lambda x: x.to(dtype), inputs)
    with torch.autocast("cpu", dtype=dtype, enabled=not moved):
        value, gradients = value_and_gradients(loss.to(dtype) if moved else loss, halved, student_of(halved))
    assert value.dtype == torch.float32
    assert all(gradient.isfinite().all() for gradient in gradients)
    torch.testing.assert_close(value, expected, rtol=0.05, atol=0.02)


@every_case
def test_double_precision_stays_double(case: Case):
    assert case.ready().double()(**apply(torch.Tensor.double, case.draw())).dtype == torch.float64


@cases_where("permutes")
def test_order_of_the_samples_is_irrelevant(case: Case):
    loss, inputs = case.ready(), case.draw()
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    torch.testing.assert_close(twin(loss)(**samples(inputs, order)), loss(**inputs))


@cases_where("zero_at_equality")
def test_is_zero_at_equality(case: Case):
    inputs = KINDS["equal"](case.draw())
    torch.testing.assert_close(case.ready()(**inputs), torch.zeros(()), rtol=0, atol=1e-6)
    assert case.ready()(**case.draw()) > 1e-3


@cases_where("scale_invariant")
def test_scale_of_the_student_is_irrelevant(case: Case):
    inputs = case.draw()
    scaled = {**inputs, "student": apply(lambda x: 3 * x, inputs["student"])}
    torch.testing.assert_close(case.ready()(**scaled), case.ready()(**inputs))


@cases_where("at_temperature")
@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_gradients_keep_their_size_when_the_temperature_changes(case: Case, factor: float):
    inputs = case.draw()
    scaled = {k: apply(lambda x: factor * x, v) if k in {"student", "teacher"} else v for k, v in inputs.items()}
    one, other = case.ready(case.at_temperature(1.5)), case.ready(case.at_temperature(1.5 * factor))
    torch.testing.assert_close(other(**scaled), factor**2 * one(**inputs))


@every_case
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_is_the_same(case: Case, backend: str):
    loss, inputs = case.ready(), case.draw()
    leaves = student_of(inputs)
    same = twin(loss)
    expected, gradients = value_and_gradients(same, inputs, [*leaves, *learned(case, same).values()])
    torch.compiler.reset()
    compiled = torch.compile(loss, backend=backend)
    value, others = value_and_gradients(compiled, inputs, [*leaves, *learned(case, loss).values()])
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(others, gradients)


@every_case
def test_runs_on_the_meta_device(case: Case):
    """What `distill check --deep` does: it learns the shapes and allocates nothing."""
    with torch.device("meta"):
        loss = case.loss().eval()
    inputs = {name: moved_to_meta(value) for name, value in case.draw().items()}
    assert loss(**inputs).shape == ()


def moved_to_meta(value):
    if isinstance(value, dict):
        return {key: moved_to_meta(part) for key, part in value.items()}
    return [moved_to_meta(part) for part in value] if isinstance(value, list) else value.to("meta")


@every_case
def test_batch_statistics_are_declared(case: Case):
    """A loss that normalises over a batch and does not gather it depends on the split."""
    loss = case.loss().train()
    learning = [x for name, x in loss.named_modules() if case.is_learned(name) and x.training]
    assert (
        loss.reduction_scope in {"local", "gathered"}
        or reduction_scope_of(*(x for x in learning if not [*x.children()])) == "sample"
    )


def test_two_processes_are_compared_for_every_class_that_is_not_local():
    """A case that cannot be split has another one of its class beside it; a loss that a model reports has no samples."""
    split = {type(case.loss()) for case in TABLE if case.splits}
    kinds = {type(case.loss()) for case in TABLE if case.loss().reduction_scope != "local"}
    assert {kind.__name__ for kind in kinds - split} == {"ReportedLoss"}


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Return the results of two processes, for all cases in one launch."""
    output = tmp_path_factory.mktemp("ranks") / "found"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [*launch, "-m", f"{Path(__file__).parent.name}.ranks", str(output)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(Path(f"{output}.{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("case", [c for c in TABLE if c.splits and c.loss().reduction_scope != "local"], ids=str)
def test_two_processes_equal_one(case: Case, two_processes: list[dict]):
    for found in two_processes:
        assert found[case.name] == pytest.approx({"loss": 0, "gradients": 0, "buffers": 0}, abs=2e-5)


@cases_where("equal")
def test_two_processes_remember_the_same(case: Case, two_processes: list[dict]):
    for found in two_processes:
        assert found[case.name] == pytest.approx({"equal": 0, "whole": 0}, abs=2e-5)
