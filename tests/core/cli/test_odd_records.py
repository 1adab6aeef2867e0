"""Files of a run folder that something else has changed are refused with a sentence, and a resumed run drops odd lines."""

from __future__ import annotations

import json
import shutil

import pytest

ODD = {
    "text": b"epoch 2 is done\n",
    "number": b"3\n",
    "list": b"[1, 2]\n",
    "null": b"null\n",
    "empty line": b"\n",
    "half a record": b'{"stage": 0, "epo\n',
    "bytes": b"\xff\xfe\x00\n",
    "other keys": b'{"loss": 0.5}\n',
    "words for numbers": b'{"stage": "first", "epoch": 1, "step": 1}\n',
    "nested": b"[" * 100_000 + b"\n",
}


@pytest.fixture
def unfinished(toy, distill, tmp_path):
    """The folder of a run that was interrupted."""
    folder = tmp_path / "run"
    toy.write_text(toy.read_text().replace("callbacks:\n", "callbacks:\n  - !import_call:toy.Interrupt {epoch: 2}\n"))
    assert distill("run", toy, "--output", folder, "--trust", "toy").code == 130
    assert not (folder / "results.json").exists()
    return folder


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_of_metrics_is_refused_where_it_is_read_and_dropped_by_a_resume(toy, distill, unfinished, name):
    log = unfinished / "metrics.jsonl"
    before = log.read_bytes()
    log.write_bytes(before + ODD[name])
    shutil.copytree(unfinished, other := unfinished.with_name("other"))
    compared = distill("compare", unfinished, other)
    assert compared.code == 1
    assert compared.err.startswith(f"the last line of {log} ")
    assert "Traceback" not in compared.err
    resumed = distill("run", toy, "--output", unfinished, "--resume", "--trust", "toy")
    assert resumed.code == 130  # it is interrupted again
    assert "Traceback" not in resumed.err
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == sorted(steps)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"3"])
def test_results_that_are_not_an_object_are_refused(distill, tmp_path, content):
    folder = tmp_path / "toy" / "0"
    folder.mkdir(parents=True)
    (folder / "results.json").write_bytes(content)
    (folder / "config.resolved.yaml").write_text("seed: 0\n")
    shutil.copytree(folder, other := tmp_path / "other")
    for command in (("report", folder), ("compare", folder, other)):
        ended = distill(*command)
        assert ended.code == 1
        assert f"{folder / 'results.json'} is not a JSON object" in ended.err
        assert "Traceback" not in ended.err
