"""Short names: unique owners, hints for typos, and references in docstrings."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from distill_core import registry
from distill_core.losses import KDLoss, _kd
from distill_core.registry import Reference, Registry, RegistryError, reference


def made_in(module: str, name: str) -> type:
    return type(name, (), {"__module__": module, "__qualname__": name})


def test_a_bare_decorator_takes_the_name_of_the_object():
    names = Registry()

    @names.register
    def brew() -> str:
        return "tea"

    assert brew() == "tea"
    assert names.lookup("brew") is brew


def test_a_name_can_be_chosen():
    names, thing = Registry(), made_in("a", "Loss")
    assert names.register("mine")(thing) is thing
    assert names.names() == ["mine"]
    assert names.lookup("mine") is thing


def test_a_duplicate_is_refused_with_both_owners():
    names, first = Registry(), made_in("first.module", "Loss")
    names.register(first)
    with pytest.raises(RegistryError) as error:
        names.register(made_in("second.module", "Loss"))
    assert str(error.value) == (
        "'Loss' is already registered by first.module, so second.module cannot register it\n"
        '  hint: use another name: @register("another_name")'
    )
    assert names.lookup("Loss") is first


def test_two_things_of_one_module_cannot_share_a_name_either():
    names = Registry()
    names.register("loss")(made_in("a", "One"))
    with pytest.raises(RegistryError):
        names.register("loss")(made_in("a", "Two"))


def test_the_same_definition_loaded_again_replaces_the_old_one():
    names, again = Registry(), made_in("a", "Loss")
    names.register(made_in("a", "Loss"))
    names.register(again)
    assert names.lookup("Loss") is again


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(RegistryError) as error:
        registry.lookup("KDLos")
    assert str(error.value) == "nothing is registered as 'KDLos'\n  hint: did you mean 'KDLoss'?"
    assert error.value.exit_code == 2


def test_the_losses_are_registered_in_the_one_registry():
    assert registry.lookup("KDLoss") is KDLoss
    assert {"ATLoss", "CRDLoss", "FTLoss", "FitNetLoss", "KDLoss"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())


def test_reading_a_reference_needs_no_torch():
    code = "import sys, distill_core.registry; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_reference_of_a_method():
    assert reference(docstring(_kd)) == Reference(
        method="Knowledge distillation (KD)",
        idea="the student matches the teacher's softened class probabilities",
        paper="Distilling the Knowledge in a Neural Network",
        authors="Geoffrey Hinton, Oriol Vinyals, Jeff Dean",
        venue="NIPS Deep Learning Workshop",
        year="2015",
        link="https://arxiv.org/abs/1503.02531",
        use="any classifier with the teacher's classes; the first method to try.",
        taps="the logits, `student` and `teacher`.",
    )


def test_advice_continues_on_further_lines_and_may_be_omitted():
    text = docstring(_kd).replace("to try.", "to\ntry.")
    assert reference(text).use == "any classifier with the teacher's classes; the first method to try."
    without = "\n\n".join(part for part in text.split("\n\n") if not part.startswith("Use: "))
    assert (reference(without).use, reference(without).taps) == ("", "")


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda text: text.replace("Year: 2015\n", ""), "Paper, Authors, Venue, Link"),
        (lambda text: text.replace("Paper:", "Title:"), "Authors, Venue, Year, Link"),
        (lambda text: text.partition("Paper:")[0], "none"),
    ],
    ids=["no year", "no paper", "nothing"],
)
def test_a_docstring_without_all_fields_is_refused(edit, found: str):
    with pytest.raises(ValueError) as error:
        reference(edit(docstring(_kd)))
    assert str(error.value) == (
        "the docstring of 'Knowledge distillation (KD)' needs 'Name (ACRONYM): idea.' and, in this order, "
        f"Paper, Authors, Venue, Year, Link; found {found}"
    )


def docstring(module: ModuleType) -> str:
    assert module.__doc__
    return module.__doc__
