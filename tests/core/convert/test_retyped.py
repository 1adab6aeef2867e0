"""Values of another type, tags and nesting in an old file end in a report with a line, never in a traceback or in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from yaml import MappingNode, Node, ScalarNode

from distill_core.convert import convert_torchdistill

from .old_files import FILES
from .test_leaves import OLD, nodes, outcome

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
CORE = "tag:yaml.org,2002:"
SCALARS = [("float", ".nan"), ("timestamp", "2020-01-01"), ("str", "a\nb"), ("int", "9" * 30), ("binary", "aGk=")]
INTERNALS = re.compile(
    r"object has no|Error\(|NoneType|argument must be a|\bdict\b|not supported between|convert float"
)


def scalars(node: ScalarNode, number: int) -> Iterator[str]:
    """Give a scalar one of some other values."""
    before = node.tag, node.value, node.style
    kind, node.value = SCALARS[number % len(SCALARS)]
    node.tag, node.style = CORE + kind, None
    yield f"{kind} {node.value!r}"
    node.tag, node.value, node.style = before


def containers(node: Node) -> Iterator[str]:
    """Give a mapping or a list an unknown tag, and put it into a mapping."""
    before = node.tag, node.value
    node.tag = "!unknown"
    yield "!unknown"
    inner = type(node)(CORE + ("map" if isinstance(node, MappingNode) else "seq"), before[1])
    node.tag = before[0]
    if isinstance(node, MappingNode):
        node.value = [(ScalarNode(CORE + "str", "inner"), inner)]
    else:
        node.value = [inner]
    yield "nested"
    node.tag, node.value = before


@pytest.fixture(scope="module")
def seen() -> set[tuple[str, ...]]:
    """Keys with the one above that another file had: they are read by the same code."""
    return set()


@pytest.mark.parametrize("name", OLD)
def test_another_type_is_reported(name: str, tmp_path: Path, seen: set[tuple[str, ...]]):
    file = tmp_path / "old.yaml"
    root = yaml.compose(OLD[name], Loader=yaml.SafeLoader)
    before, missed = outcome(yaml.serialize(root, Dumper=DUMPER), file), []
    for number, (path, _, node) in enumerate(list(nodes(root))):
        if path[-2:] in seen or not node.value:
            continue
        seen.add(path[-2:])
        for kind in scalars(node, number) if isinstance(node, ScalarNode) else containers(node):
            after = outcome(yaml.serialize(root, Dumper=DUMPER), file)
            if after == before:
                missed.append(f"{'.'.join(path)} {kind}: silent")
            missed += [f"{'.'.join(path)} {kind}: {text}" for text in after[1] if INTERNALS.search(text)]
    assert missed == []


@pytest.mark.parametrize("given", ["5", "nonsense", "[1]", "2020-01-01"])
def test_settings_that_are_not_a_mapping_are_lost_at_their_line(given: str, tmp_path: Path):
    file = tmp_path / "old.yaml"
    text = FILES["kd"].replace("{lr: 0.01, momentum: 0.9, weight_decay: 0.0005}", given)
    file.write_text(text)
    line = text[: text.index(f"kwargs: {given}")].count("\n") + 1
    (finding,) = (one for one in convert_torchdistill(file).report.lost if one.place == "train.optimizer.kwargs")
    assert finding.line == line
    assert "must be a mapping" in finding.message


@pytest.mark.parametrize(
    ("tag", "value"), [("float", ".inf"), ("float", ".nan"), ("str", "a\nb: c # d"), ("str", "\ttab")]
)
def test_a_value_that_is_kept_is_the_same_value_in_the_new_file(tag: str, value: str, tmp_path: Path):
    root = yaml.compose(FILES["kd"], Loader=yaml.SafeLoader)
    for path, _, node in nodes(root):
        if path[-3:] == ("optimizer", "kwargs", "momentum"):
            node.tag, node.value = CORE + tag, value
    file = tmp_path / "old.yaml"
    file.write_text(yaml.serialize(root, Dumper=DUMPER))
    new = yaml.compose(convert_torchdistill(file).text, Loader=yaml.SafeLoader)
    (momentum,) = (node for path, _, node in nodes(new) if path[-1:] == ("momentum",))
    assert (momentum.value, momentum.tag) == (value, CORE + tag)


@pytest.mark.parametrize("value", ["False", ""])
def test_a_stage_in_which_nothing_learns_is_lost(value: str, tmp_path: Path):
    """Torchdistill takes an empty `requires_grad` for false."""
    file = tmp_path / "old.yaml"
    file.write_text(FILES["kd"].replace("requires_grad: True", f"requires_grad: {value}"))
    assert "nothing learns in this stage" in [finding.message for finding in convert_torchdistill(file).report.lost]


@pytest.mark.parametrize("text", ["!getattr []", "!getattr [a]", "!import_get {}", "!import_call", "!import_call []"])
def test_an_object_that_is_cut_off_is_lost(text: str, tmp_path: Path):
    file = tmp_path / "old.yaml"
    file.write_text(re.sub(r"!import_get\s+key: 'torch.utils.data.RandomSampler'", text, FILES["kd"], count=1))
    assert any("sampler" in finding.place for finding in convert_torchdistill(file).report.lost)
