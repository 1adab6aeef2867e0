"""`distill schema`: every recipe fits it, what is misspelt does not, and no key is described by hand."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distill_core.cli.setup._schema import KINDS, custom_tags, json_schema
from distill_core.config._compose import Composer
from distill_core.config._nodes import is_untagged, scalar_value
from distill_core.config._tags import TAGS
from distill_core.experiment import Evaluation, Experiment, Metric, Stage, Term

ROOT = Path(__file__).parents[4]
RECIPES = sorted(ROOT.glob("benchmarks/*/configs/*/*.yaml"))
KINDS_OF_JSON = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": float | int,
}
MADE = json_schema()


def plain(text: str) -> Any:
    """The values of a file as an editor sees them: without their tags."""
    root = Composer(text, "a.yaml", {"a.yaml": text}).compose()
    assert root is not None
    return _plain(root)


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return scalar_value(node) if is_untagged(node) else node.value


def wrong(value: Any, rule: dict[str, Any], key: str = "") -> Iterator[str]:
    """What of a value does not fit a schema, as far as ours go."""
    if "$ref" in rule:
        yield from wrong(value, MADE["$defs"][rule["$ref"].removeprefix("#/$defs/")], key)
    if "anyOf" in rule:
        tried = [list(wrong(value, option, key)) for option in rule["anyOf"]]
        yield from () if [] in tried else (fault for faults in tried for fault in faults)
    if "enum" in rule and value not in rule["enum"]:
        yield f"{key}: {value!r} is not among {rule['enum']}"
    kind = rule.get("type")
    number = isinstance(value, int) and not isinstance(value, bool)
    if kind and not (number if kind == "integer" else isinstance(value, KINDS_OF_JSON[kind])):
        yield f"{key}: {value!r} is no {kind}"
    elif "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{key}: {value!r} is not like {rule['pattern']}"
    if isinstance(value, list):
        for item_index, item in enumerate(value):
            yield from wrong(item, rule.get("items", {}), f"{key}.{item_index}")
    if isinstance(value, dict):
        yield from (f"{key}: '{name}' is missing" for name in rule.get("required", ()) if name not in value)
        yield from (fault for name in value for fault in wrong_entry(name, value[name], rule, f"{key}.{name}"))


def wrong_entry(name: str, value: Any, rule: dict[str, Any], key: str) -> Iterator[str]:
    """What of an entry of a mapping does not fit the schema of the mapping."""
    inner = [sub for pattern, sub in rule.get("patternProperties", {}).items() if re.search(pattern, name)]
    inner += [rule["properties"][name]] if name in rule.get("properties", {}) else []
    for sub in inner or [rule.get("additionalProperties", {})]:
        yield from [f"{key} is unknown"] if sub is False else wrong(value, sub, key)


def test_every_recipe_fits():
    faults = {recipe: list(wrong(plain(recipe.read_text(encoding="utf-8")), MADE)) for recipe in RECIPES}
    assert {recipe: told for recipe, told in faults.items() if told} == {}
    assert len(RECIPES) > 200


SMALL = """
_shared: &net !import_call:torch.nn.Linear [3, 2]
models: {student: *net}
data: {train: !import_call:torch.utils.data.DataLoader {dataset: *net}}
cache: {teacher: {folder: !pathjoin [a, b], codec: {teacher: float16}}}
stages:
  - epochs: 1
    losses: {ce: {weight: !import_call:distill_core.schedules.Linear {}, loss: !import_get:torch.nn.CrossEntropyLoss , inputs: {input: student}}}
test: !include test.yaml
"""
MISTAKES = [
    ("epochs: 1", "epoches: 1", ".stages.0.epoches is unknown"),
    ("epochs: 1", "epochs: two", ".stages.0.epochs: 'two' is no integer"),
    ("epochs: 1", "modes: {teacher: evl}", ".stages.0.modes.teacher: 'evl' is not among ['train', 'eval']"),
    ("weight:", "wieght:", ".stages.0.losses.ce.wieght is unknown"),
    ("inputs:", "_inputs:", ".stages.0.losses.ce: 'inputs' is missing"),
    ("codec:", "codek:", ".cache.teacher.codek is unknown"),
    ("models:", "model:", ".model is unknown"),
    ("test: !include test.yaml", "test: {metric: {}}", ".test.metric is unknown"),
    ("test: !include test.yaml", "precision: bf15", ".precision: 'bf15' is not among ['fp32', 'fp16', 'bf16']"),
]


@pytest.mark.parametrize(("right", "mistake", "told"), MISTAKES, ids=[mistake for _, mistake, _ in MISTAKES])
def test_a_mistake_is_seen(right, mistake, told):
    assert list(wrong(plain(SMALL), MADE)) == []
    assert SMALL.count(right) == 1
    assert told in list(wrong(plain(SMALL.replace(right, mistake)), MADE))


def test_a_file_with_a_base_may_leave_out_what_the_base_has_but_not_inside_a_list():
    assert list(wrong({"base": "other.yaml", "test": {"loader": {}}, "cache": {"teacher": {"views": 2}}}, MADE)) == []
    assert list(wrong({"base": ["a.yaml"], "stages": [{"losses": {"kd": {"weight": 1}}}]}, MADE)) != []


def test_every_key_of_every_record_is_there_and_no_other():
    records = {None: Experiment, "Stage": Stage, "Term": Term, "Metric": Metric, "Evaluation": Evaluation}
    for name, record in records.items():
        keys = set((MADE["$defs"][name] if name else MADE)["properties"]) - {"base"}
        assert keys == {field.name for field in dataclasses.fields(record)}
    silent = [
        key
        for key, rule in {**MADE["properties"], **MADE["$defs"]["Stage"]["properties"]}.items()
        if "description" not in rule
    ]
    assert silent == []
    assert MADE["$defs"]["Stage"]["properties"]["clip_grad_norm"]["description"] == (
        "Maximum norm of all gradients together; not clipped by default."
    )


def test_every_tag_is_in_the_setting_that_the_description_gives():
    assert sorted(tag for tags in KINDS.values() for tag in tags) == sorted([*TAGS, "include"])
    assert all(f'"!{tag} {kind}"' in MADE["description"] for kind, tags in KINDS.items() for tag in tags)


def test_it_is_printed_or_written(distill, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert json.loads(distill("schema").out) == MADE
    ended = distill("schema", "--output", "experiment.json")
    assert (ended.code, json.loads(Path("experiment.json").read_text(encoding="utf-8"))) == (0, MADE)
    assert "# yaml-language-server: $schema=experiment.json\n" in ended.out
    ended = distill("schema", "--output", ".")
    assert (ended.code, ended.err) == (2, ". is a folder\n  hint: name a file\n")


def test_the_tags_of_a_file_are_listed_with_their_kinds(distill, tmp_path):
    (tmp_path / "a.yaml").write_text("models: {student: !import_call:torch.nn.Linear [3, 2], x: !import_get:a.b }\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n_n: !import_partial:torch.optim.SGD {lr: 0.1}\n")
    tags = [
        "!import_call:torch.nn.Linear sequence",
        "!import_get:a.b scalar",
        "!import_partial:torch.optim.SGD mapping",
    ]
    assert custom_tags(tmp_path / "b.yaml") == tags
    assert json.loads(distill("schema", "--tags", tmp_path / "b.yaml").out) == tags
