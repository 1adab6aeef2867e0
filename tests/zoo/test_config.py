"""Functions of the zoo that an experiment file may call."""

from __future__ import annotations

import pytest

import distill_zoo

config = pytest.importorskip("distill_core.config")
errors = pytest.importorskip("distill_core.errors")


def build(tmp_path, call):
    file = tmp_path / "a.yaml"
    file.write_text(f"a: !import_call:{call}\n", encoding="utf-8")
    document = config.read(file)
    return config.Builder(document).build(document.root.value[0][1])


def test_an_experiment_can_load_its_teacher_from_the_zoo(tmp_path):
    pytest.importorskip("distill_vision")
    assert build(tmp_path, "distill_zoo.load {name: digits/convnet8.kd}").fc.out_features == 10


CALLS = [
    "distill_zoo.save_pretrained {name: digits/convnet8, folder: out}",
    "distill_zoo.push_to_hub {name: digits/convnet8, repo: me/mine}",
    "distill_zoo.add_run {run: out, name: toy/line}",
    "distill_zoo.remove {name: cifar10/resnet20}",
    "distill_zoo._optional.optional {module: os, purpose: x}",
    "distill_zoo._build._find {name: x, path: os.system}",
]


@pytest.mark.parametrize("call", CALLS)
def test_an_experiment_cannot_write_delete_or_upload(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.TrustError):
        build(tmp_path, call)
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_every_function_is_either_refused_or_harmless():
    named = {call.partition(" ")[0].rpartition(".")[2] for call in CALLS}
    harmless = {
        "cached",
        "card",
        "download",
        "from_pretrained",
        "list_models",
        "load",
        "load_state_dict",
        "transforms",
        "verify",
    }
    functions = {name for name in dir(distill_zoo) if name[0].islower() and callable(getattr(distill_zoo, name))}
    assert functions <= named | harmless
