"""`distill cache`."""

from __future__ import annotations

import json
import re

import pytest

from distill_core.cli import main

TEXT = """
models:
  teacher: !import_call:distill_vision.models.convnet {{width: 16}}
  student: !import_call:distill_vision.models.convnet {{width: 4}}
data:
  train: !import_call:distill_vision.data.digits
    split: train
    batch_size: 64
    augment: !import_partial:distill_vision.transforms.random_crop {{padding: 1}}
cache: {{teacher: {{folder: {folder}, codec: {codec}, views: 2}}}}
stages:
  - epochs: 3
    optimizer: !import_partial:torch.optim.SGD {{lr: 0.1}}
    losses:
      kd:
        loss: !import_call:distill_core.losses.KDLoss {{temperature: 4.0}}
        inputs: {{student: student, teacher: teacher}}
"""


@pytest.fixture
def distill(tmp_path, monkeypatch, capsys):
    """Run a command on a file with this codec; return its exit code and output."""

    def run(*command, codec="float16"):
        file = tmp_path / "kd.yaml"
        file.write_text(TEXT.format(folder=tmp_path / "cache", codec=codec))
        monkeypatch.setattr("sys.argv", ["distill", *[*command, str(file)]])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


def test_build_verify_and_damage(distill, tmp_path):
    code, out, err = distill("cache", "verify")
    assert (code, err) == (2, "there is no complete view to verify\n  hint: 'distill cache build' creates them\n")
    code, out, err = distill("cache", "build")
    assert (code, err) == (0, "")
    shards = sorted(tmp_path.glob("cache/teacher-*/view-*.safetensors"))
    assert out == "".join(f"teacher: view {n} of 2 is in {path}\n" for n, path in enumerate(shards, 1))
    code, out, err = distill("cache", "verify", "--samples", "100")
    head, line = out.splitlines()
    assert head.split("  ")[0] == "model"
    found = re.fullmatch(r"teacher +\(output\) +200 +(\S+) +(\S+) +100\.00%", line)
    assert found is not None, line
    assert 0 < float(found[1]) < 5e-3
    assert float(found[2]) < 1e-5
    (record,) = json.loads(distill("cache", "verify", "--samples", "100", "--json")[1])
    assert (record["model"], record["tap"], record["samples"], record["agreement"]) == ("teacher", "(output)", 200, 1.0)
    assert f"{record['greatest']:.3g}" == found[1]
    built = json.loads(distill("cache", "build", "--json")[1])
    assert built == [
        {"model": "teacher", "view": n, "num_views": 2, "file": str(path)} for n, path in enumerate(shards, 1)
    ]
    content = bytearray(shards[0].read_bytes())
    content[-9] ^= 1
    shards[0].write_bytes(content)
    code, out, err = distill("cache", "verify")
    assert code == 1
    assert err.startswith(f"{shards[0]} is damaged: its SHA-256 differs from the recorded one")


def test_plan(distill, tmp_path):
    code, out, err = distill("cache", "plan", "--json")
    record = json.loads(out)
    assert (record["views"], record["device"]) == (2, "cpu")
    assert [cost["codec"] for cost in record["costs"]][-1] == "sampled-64"
    code, out, err = distill("cache", "plan")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines[1:-1]] == ["float16", "float32", "bfloat16", "int8", "topk-8", "sampled-64"]
    assert all(line[0] == "teacher" for line in lines[1:-1])
    assert out.splitlines()[-1] == "views per sample: 2; measured on three batches on cpu"
    assert not (tmp_path / "cache").exists()


def test_check_deep_refuses_what_a_codec_cannot_give(distill):
    code, _, err = distill("check", "--deep", codec="topk-4")
    assert code == 2
    assert "KDLoss takes 'teacher', but the codec 'topk-4' of cache.teacher gives" in err
    code, _, err = distill("check", "--deep", codec="float8")
    assert code == 2
    assert "there is no codec 'float8'" in err
    assert "did you mean 'float32'?" in err
