"""`distill zoo …`; skipped where distill_zoo is not installed."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("distill_zoo")


@pytest.fixture
def zoo(tmp_path, monkeypatch, distill):
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISTILL_OFFLINE", "")

    def run(*arguments, code=0):
        ended = distill("zoo", *arguments)
        assert ended.code == code, ended.out + ended.err
        return ended.err.strip() if code else ended.out

    return run


def test_names_are_listed_with_what_they_reach(zoo):
    lines = zoo("list", "cifar10/resnet*").splitlines()
    assert len(lines) == 5
    assert lines[1].split() == ["cifar10/resnet20", "top1", "91.92", "(test)", "MIT", "unverified"]


def test_a_program_can_read_the_list(zoo):
    listed = json.loads(zoo("list", "digits/*", "--json"))
    assert listed[0]["name"] == "digits/convnet64.ce"
    assert listed[0]["embedded"]
    assert listed[0]["metrics"][0]["split"] == "test"


def test_a_card_is_shown(zoo):
    shown = zoo("info", "digits/convnet8.kd")
    assert "teacher: digits/convnet64.ce\n" in shown
    assert "  name top1  value 95.2778  split test" in shown
    assert json.loads(zoo("info", "digits/convnet8.kd", "--json"))["kwargs"] == {"width": 8}


def test_an_unknown_name_ends_with_a_hint_and_no_traceback(zoo):
    said = zoo("info", "digits/convnet80", code=1)
    assert said == "the zoo has no model 'digits/convnet80'\n  hint: did you mean 'digits/convnet8.kd'?"


def test_offline_nothing_is_fetched(zoo, tmp_path):
    path = tmp_path / "home" / "weights" / "cifar10" / "resnet20" / "cifar10-resnet20.pt"
    said = zoo("download", "cifar10/resnet20", "--offline", code=1)
    assert said.startswith(f"cifar10/resnet20: {path} does not exist and DISTILL_OFFLINE is set\n")


def test_paths_are_those_of_this_machine(zoo):
    path = zoo("path", "digits/convnet8.kd").strip()
    assert path.endswith("convnet8.kd/model.safetensors")
    assert zoo("download", "digits/convnet8.kd").strip() == path
    said = zoo("path", "digits/convnet8.kd", "cifar10/resnet20", code=1)
    assert said == "not on this machine: cifar10/resnet20\n  hint: distill zoo download cifar10/resnet20"


def test_what_is_here_is_verified_and_removed(zoo, tmp_path):
    said = json.loads(zoo("verify", "--json"))
    assert set(said.values()) == {"intact"}
    assert "digits/convnet8.kd" in said
    path = tmp_path / "home" / "weights" / "cifar10" / "resnet20" / "cifar10-resnet20.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04")
    assert zoo("verify", "cifar10/resnet20") == "cifar10/resnet20  intact\n"
    path.write_bytes(b"PK\x03\x04!")
    assert zoo("verify", "cifar10/resnet20", code=1) == "damaged or missing: cifar10/resnet20"
    assert zoo("remove", "cifar10/resnet20") == "cifar10/resnet20  removed\n"
    assert not path.parent.exists()
    assert zoo("remove", "cifar10/resnet20") == "cifar10/resnet20  was not on this machine\n"
    assert zoo("remove", "digits/convnet64", code=1) == (
        "digits/convnet64.ce is part of the installed distill-zoo and cannot be removed"
    )


def test_a_model_is_exported(zoo, tmp_path):
    assert json.loads(zoo("export", "digits/convnet8.kd", tmp_path / "x", "--json")) == {
        "digits/convnet8.kd": str(tmp_path / "x")
    }
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_a_run_becomes_a_card(zoo, toy, distill):
    assert distill("run", toy, "--output", "out", "--trust", "toy").code == 0
    shown = zoo("add", "out", "--name", "toy/net.kd", "--license", "MIT", "--teacher", "a larger one")
    assert shown.startswith("toy/net.kd  share ")
    card = json.loads(zoo("info", "toy/net", "--json"))
    assert (card["builder"], card["teacher"]) == ("toy.Net", "a larger one")
    assert card["trained_by"]["seed"] == 3
    assert zoo("verify", "toy/net.kd") == "toy/net.kd  intact\n"


def test_without_the_package_the_command_says_what_to_install(zoo, monkeypatch):
    monkeypatch.setitem(sys.modules, "distill_zoo", None)
    said = zoo("list", code=1)
    assert said == "distill_zoo is not installed\n  hint: pip install 'distill-zoo[torch]'"
