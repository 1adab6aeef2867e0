"""Every key, value and tag of an old file is read: a change is seen in the new file, in the report or as an error."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

import distill_core.convert
from distill_core.convert import convert_torchdistill
from distill_core.errors import ConfigError

from .old_detection import DETECTION
from .old_files import FILES
from .old_glue import GLUE
from .old_head_rcnn import GHND
from .old_ktaad import KTAAD
from .old_scenes import SEGMENTATION
from .old_spellings import SPELLINGS
from .old_texts import WITH_METRICS, WITHOUT_METRICS

SCENES = {"detection": DETECTION, "ghnd": GHND, "ktaad": KTAAD, "segmentation": SEGMENTATION}
OLD = {**FILES, **SCENES, "glue": GLUE, **SPELLINGS, "texts": WITH_METRICS, "texts_alone": WITHOUT_METRICS}

NAMES = {"dataset_id", "dataset_id_map"}
"""Keys of names that an author chooses; a name that no dataset has is lost."""


def nodes(root: Node) -> Iterator[tuple[tuple[str, ...], Node | None, Node]]:
    """Yield the path, the key and the value of everything in a document, each node once; keys with `_` hold anchors."""
    stack: list[tuple[tuple[str, ...], Node]] = [((), root)]
    seen: set[int] = set()
    while stack:
        path, node = stack.pop(0)
        entries: list[tuple[Node | None, Node]] = []
        if isinstance(node, MappingNode):
            entries = [(key, value) for key, value in node.value if not str(key.value).startswith("_")]
            seen |= {id(key) for key, _ in node.value}
        elif isinstance(node, SequenceNode):
            entries = [(None, value) for value in node.value]
        for key, value in entries:
            name = (*path, key.value) if isinstance(key, ScalarNode) else path
            if id(value) not in seen:
                seen.add(id(value))
                yield name, key, value
                stack.append((name, value))


def outcome(text: str, file: Path) -> tuple[str, tuple[str, ...]]:
    file.write_text(text)
    try:
        converted = convert_torchdistill(file)
    except ConfigError as error:
        return str(error), ("refused",)
    findings = tuple(f"{finding.outcome} {finding.place}: {finding.message}" for finding in converted.report)
    return converted.text, findings


def replaced(text: str, node: Node, new: str) -> str:
    """Return the text with another scalar; an anchor or a tag before it stays."""
    start, end = node.start_mark.index, node.end_mark.index
    head = text[start:end].split(" ", 1)[0] + " " if text[start] in "&!" else ""
    return text[:start] + head + new + text[end:]


@pytest.fixture(scope="module")
def seen() -> set[tuple[str, ...]]:
    """Keys with the two above that another file had: they are read by the same code."""
    return set()


@pytest.mark.parametrize("name", OLD)
def test_a_garbled_value_is_seen(name: str, tmp_path: Path, seen: set[tuple[str, ...]]):
    text, file = OLD[name], tmp_path / "old.yaml"
    before = outcome(text, file)
    missed = []
    for path, _, value in nodes(yaml.compose(text, Loader=yaml.SafeLoader)):
        if isinstance(value, ScalarNode) and value.value and path[-3:] not in seen and not NAMES & {*path}:
            seen.add(path[-3:])
            if outcome(replaced(text, value, "'garbled#'"), file) == before:
                missed.append(".".join(path))
    assert missed == []


@pytest.mark.parametrize("name", OLD)
def test_a_second_key_of_the_same_name_is_refused(name: str, tmp_path: Path, seen: set[tuple[str, ...]]):
    text, file = OLD[name], tmp_path / "old.yaml"
    missed = []
    for path, key, _ in nodes(yaml.compose(text, Loader=yaml.SafeLoader)):
        if not isinstance(key, ScalarNode) or key.tag.endswith("merge") or ("twice", *path[-3:]) in seen:
            continue
        seen.add(("twice", *path[-3:]))
        start = key.start_mark
        is_flow = text[text.rfind("\n", 0, start.index) + 1 : start.index].strip()
        twice = f"{key.value}: another" + (", " if is_flow else f"\n{' ' * start.column}")
        _, findings = outcome(text[: start.index] + twice + text[start.index :], file)
        if not any(finding.startswith(("lost", "refused")) for finding in findings):
            missed.append(".".join(path))
    assert missed == []


@pytest.mark.parametrize("name", OLD)
def test_an_unknown_tag_is_lost(name: str, tmp_path: Path):
    text, file = OLD[name], tmp_path / "old.yaml"
    for tag in ("!join", "!import_call", "!import_get", "!getattr"):
        index = text.find(f"{tag} ")
        if index < 0 or text.find(f"{tag}\n") in range(index):
            continue
        _, findings = outcome(f"{text[: index + len(tag)]}x{text[index + len(tag) :]}", file)
        assert any(finding.startswith(("lost", "refused")) for finding in findings), (tag, findings)


PACKAGES = ("torchvision.", "torch.utils.", "torchdistill.", "custom.", "coco.", "utils.")


@pytest.mark.parametrize("name", ["kd", "split", "segmentation", "groups"])
def test_an_object_of_another_package_is_seen(name: str, tmp_path: Path):
    text, file = OLD[name], tmp_path / "old.yaml"
    before, missed = outcome(text, file), []
    for found in re.finditer("'(" + "|".join(map(re.escape, PACKAGES)) + r")[\w.]+'", text):
        changed = f"{text[: found.start()]}'other.{text[found.start() + 1 :]}"
        if outcome(changed, file) == before:
            missed.append(found[0])
    assert missed == []


READERS = {"take", "need", "mapping", "number", "only", "get", "value"}
"""Methods of the converter that read a key of the old file."""


def test_the_files_have_every_key_that_the_converter_reads():
    """The test above garbles what is in the files; a key that no file has would not be tested."""
    read: set[str] = set()
    for file in Path(distill_core.convert.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in READERS:
                read |= {arg.value for arg in call.args[:1] if isinstance(arg, ast.Constant)}
    words = {word for text in OLD.values() for word in re.findall(r"[\w']+(?= ?:)", text)}
    assert read - {word.strip("'") for word in words} == {"accumulate", "stop_early", "group_by_shape"}  # of ours
