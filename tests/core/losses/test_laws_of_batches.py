"""Every loss with a batch of one, with one precision for student and another for teacher, and with missing tokens."""

from __future__ import annotations

import pytest
import torch

from distill_core.layers import NormalisedConv, Paraphraser, StageHead
from distill_core.losses import RSKDLoss, TopKKLLoss

from .cases import Case, apply, table, tensors, value_and_gradients
from .derivations import refusal

TABLE = table()
OF_TOKENS = [case for case in TABLE if case.loss().reduction_scope == "token"]
OF_SEQUENCES = [case for case in OF_TOKENS if not case.name.endswith("-classes")]
NO_STATISTICS = "batch normalisation needs more than one value per channel in training mode, got a feature of shape "

every_case = pytest.mark.parametrize("case", TABLE, ids=str)


def runs_or_has_no_statistics(loss: torch.nn.Module, inputs: dict) -> bool:
    """Return whether the loss runs; where it does not, batch normalisation must be the reason."""
    students = [x.requires_grad_() for x in tensors(inputs.get("student", []))]
    try:
        value, gradients = value_and_gradients(loss, inputs, students)
    except ValueError as error:
        assert str(error).startswith(NO_STATISTICS)  # noqa: PT017 - only some losses refuse
        return False
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    return True


@every_case
def test_a_batch_of_one_runs_or_is_refused_by_a_sentence(case: Case):
    runs = runs_or_has_no_statistics(case.ready(), case.draw(1))
    assert runs == (case.name.partition("-")[0] not in {"KRLoss", "PADL2Loss", "SRDLoss"} or case.name == "KRLoss-one")
    assert runs_or_has_no_statistics(case.ready().eval(), case.draw(1))


@every_case
def test_a_first_batch_of_one_runs_or_is_refused_by_a_sentence(case: Case):
    torch.manual_seed(1)
    runs_or_has_no_statistics(case.loss(), case.draw(1))


@pytest.mark.parametrize(
    "module",
    [NormalisedConv(3, 4), NormalisedConv(), StageHead(3, 5, halvings=1), Paraphraser(3, batch_norm=True)],
    ids=lambda module: type(module).__name__,
)
def test_layers_refuse_one_value_to_normalise(module):
    one = torch.randn(1, 3, 1, 1)
    assert refusal(lambda: module(one)).startswith(NO_STATISTICS + "(1, ")
    module.eval()
    module(one)
    module.train()
    module(one.expand(2, 3, 1, 1))


@every_case
@pytest.mark.parametrize("side", ["student", "teacher", "loss"])
def test_one_side_in_half_precision(case: Case, side: str):
    """The teacher of a run may be in half precision, its student not; or the parameters of the loss alone are."""
    loss, inputs = case.ready(), case.draw()
    if side == "loss":
        loss.half()
    elif side in inputs:
        inputs[side] = apply(torch.Tensor.half, inputs[side])
    value = loss(**inputs)
    assert value.dtype == torch.float32
    assert value.isfinite()


@pytest.mark.parametrize("masked", [True, False], ids=["mask", "no_mask"])
@pytest.mark.parametrize("case", OF_SEQUENCES, ids=str)
def test_logits_without_tokens_are_refused(case: Case, masked: bool):
    """As logits of the last token would be, with its mask and targets."""
    inputs = {
        name: apply_to_all(lambda x: x[:, 0] if x.dim() > 1 else x, x)
        for name, x in case.draw().items()
        if masked or name != "mask"
    }
    loss = case.ready()
    if isinstance(loss, TopKKLLoss | RSKDLoss):  # they take classes, too
        assert loss(**inputs).isfinite()
    else:
        assert "(batch, tokens, vocabulary)" in refusal(lambda: loss(**inputs))


@pytest.mark.parametrize("case", [case for case in OF_TOKENS if case.name.endswith("-classes")], ids=str)
def test_logits_without_samples_are_refused(case: Case):
    inputs = {name: x[0] for name, x in case.draw().items()}
    assert "(batch, tokens, vocabulary)" in refusal(lambda: case.ready()(**inputs))


@pytest.mark.parametrize("case", [case for case in OF_SEQUENCES if "mask" in case.draw()], ids=str)
def test_masks_of_another_shape_are_refused(case: Case):
    """A mask (1, tokens) would count the tokens of the first sample only."""
    inputs = case.draw()
    for cut in (lambda x: x[:1], lambda x: x[:, 1:], lambda x: x[0], lambda x: x[..., None]):
        given = {**inputs, "mask": apply_to_all(cut, inputs["mask"])}
        assert "`mask`" in refusal(lambda given=given: case.ready()(**given))


def apply_to_all(function, value):
    """Apply `function` to each tensor in `value`, integers included; heads stay as they are."""
    if isinstance(value, torch.nn.Module):
        return value
    return function(value) if isinstance(value, torch.Tensor) else [apply_to_all(function, part) for part in value]
