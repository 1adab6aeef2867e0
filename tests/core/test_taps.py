"""The address grammar: what is read, what is refused and how, what a field finds."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_core.errors import WiringError
from distill_core.taps import PORTS, Tap, take

SOURCES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
MODULES = st.from_regex(r"[^.:\s]{1,8}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
FIELDS = st.lists(NAMES | st.integers(-999_999_999, 999_999_999), max_size=4).map(tuple)
MODEL_TAPS = st.builds(
    Tap,
    SOURCES.filter(lambda name: name != "batch"),
    st.lists(MODULES, max_size=4).map(".".join),
    st.sampled_from(PORTS),
    FIELDS,
)
TAPS = MODEL_TAPS | st.builds(Tap, st.just("batch"), fields=FIELDS)


@given(TAPS)
def test_text_and_tap_are_the_same(tap):
    assert Tap.parse(str(tap)) == tap


@given(TAPS.filter(lambda tap: tap.source != "batch"))
def test_the_address_is_the_text_without_the_model(tap):
    joint = "." if tap.path else ""
    assert f"{tap.source}{joint}{tap.address}" == str(tap)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        tap = Tap.parse(text)
    except WiringError:
        return
    assert Tap.parse(str(tap)) == tap


@pytest.mark.parametrize(
    ("text", "tap"),
    [
        ("student", Tap("student")),
        ("student:in", Tap("student", port="in")),
        ("student.layer1.0.bn2:in", Tap("student", "layer1.0.bn2", "in")),
        ("student.fc:in.1", Tap("student", "fc", "in", (1,))),
        ("student.fc:in.mask", Tap("student", "fc", "in", ("mask",))),
        ("student:out.logits.-1", Tap("student", "", "out", ("logits", -1))),
        ("student.layer1.-1.relu:outs", Tap("student", "layer1.-1.relu", "outs")),
        ("teacher.fc:module.weight", Tap("teacher", "fc", "module", ("weight",))),
        ("batch", Tap("batch")),
        ("batch.target.boxes", Tap("batch", fields=("target", "boxes"))),
        ("student:out", Tap("student")),
    ],
)
def test_read(text, tap):
    assert Tap.parse(text) == tap


FIELD_HINT = "a field is an index, or a name of letters, digits, '_' and '-'"
EXAMPLES = "write it like 'student', 'student.layer1:in' or 'batch.target'"
EMPTY_HINT = "remove the extra '.' or ':'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("student.layer1:inn", "'student.layer1:inn' has no port 'inn'\n  hint: did you mean 'in'?"),
        (
            "student:xyz",
            "'student:xyz' has no port 'xyz'\n  hint: choose from 'in', 'ins', 'module', 'out', 'outs'",
        ),
        ("", f"'' is not a tap\n  hint: {EXAMPLES}"),
        (3, f"3 is not a tap\n  hint: {EXAMPLES}"),
        (None, f"None is not a tap\n  hint: {EXAMPLES}"),
        ("student..fc", f"'student..fc' has an empty part\n  hint: {EMPTY_HINT}"),
        ("student.", f"'student.' has an empty part\n  hint: {EMPTY_HINT}"),
        ("student:", f"'student:' has an empty part\n  hint: {EMPTY_HINT}"),
        (":in", f"':in' has an empty part\n  hint: {EMPTY_HINT}"),
        ("student:in.", f"'student:in.' has an empty part\n  hint: {EMPTY_HINT}"),
        ("a:in:out", f"'a:in:out' has more than one ':'\n  hint: {EXAMPLES}"),
        ("2nd.fc", f"'2nd.fc' does not begin with the name of a model or 'batch'\n  hint: {EXAMPLES}"),
        ("student:out.a b", f"'student:out.a b' has the field 'a b'\n  hint: {FIELD_HINT}"),
        ("batch.a[0]", f"'batch.a[0]' has the field 'a[0]'\n  hint: {FIELD_HINT}"),
        (
            "student.my fc",
            "'student.my fc' has the module name 'my fc'\n  hint: a module name has no space and is not empty",
        ),
        (
            "batch:out",
            "'batch:out' names a port, but a batch has only fields\n  hint: write it like 'batch.target'",
        ),
    ],
)
def test_refused(text, message):
    with pytest.raises(WiringError) as caught:
        Tap.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("field", ["1", "a.b", "", True, 1.5, 10**12])
def test_a_tap_that_could_not_be_written_is_refused(field):
    with pytest.raises(WiringError, match="a field is an index, or a name"):
        Tap("student", fields=(field,))


@dataclass
class Output:
    logits: int
    hidden: int | None = None


Pair = namedtuple("Pair", ["first", "second"])


@pytest.mark.parametrize(
    ("value", "fields", "found"),
    [
        ({"a": {"b": 1}}, ("a", "b"), 1),
        ({"0": 5, "pool": 6}, (0,), 5),
        ({3: 5}, (3,), 5),
        (OrderedDict(x=7, y=8), (-1,), 8),
        ([1, [2, 3]], (1, 0), 2),
        (Output(4), ("logits",), 4),
        (Pair(1, 2), ("second",), 2),
        ({"items": 1}, ("items",), 1),
        ({}, (), {}),
    ],
)
def test_fields_that_are_found(value, fields, found):
    assert take(value, fields, "here") == found


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        ({"logits": 1}, "logit", "here: dict has no field 'logit'\n  hint: did you mean 'logits'?"),
        ({"logits": 1}, "items", "here: dict has no field 'items'\n  hint: choose from 'logits'"),
        (Output(1), "hidden", "here: Output has no field 'hidden'\n  hint: choose from 'logits'"),
        (Pair(1, 2), "frist", "here: Pair has no field 'frist'\n  hint: did you mean 'first'?"),
        ([1, 2], 2, "here: list of length 2 has no index 2"),
        ({"a": 1}, -2, "here: dict of length 1 has no index -2"),
        (1.5, "logits", "here: float has no field 'logits'\n  hint: omit the field"),
        (1.5, 0, "here: float has no index 0\n  hint: omit the index"),
    ],
)
def test_fields_that_are_not_there(value, field, message):
    with pytest.raises(WiringError) as caught:
        take(value, (field,), "here")
    assert str(caught.value) == message


def test_no_torch(python):
    python("import sys, distill_core.taps; assert 'torch' not in sys.modules")


def test_a_batch_has_no_modules():
    with pytest.raises(WiringError, match=r"^'batch.fc:in' names a module or a port, but a batch has only fields"):
        Tap("batch", "fc", "in")
