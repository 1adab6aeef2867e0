"""`distill doctor`: each finding on a line with what to do; exit code 1 where something would not work."""

from __future__ import annotations

import functools
import importlib
import json

import pytest

from distill_core.cli.setup.doctor._doctor import as_text, data, disk, hub, zoo
from distill_core.cli.setup.doctor._finding import Finding, note, ok, problem
from distill_core.cli.setup.doctor._machine import compiling, cores, cpu
from distill_core.cli.setup.doctor._versions import importing, of_package, required, versions

requirements = pytest.importorskip("packaging.requirements")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package's metadata where Python looks for it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, version: str, *requires: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {each}" for each in requires), ""]))

    return write


def test_the_command_prints_a_line_each(distill, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISTILL_DATA", raising=False)
    ended = distill("doctor")
    states = {line.split()[0] for line in ended.out.splitlines() if not line.startswith(" ")}
    assert states <= {"ok", "note", "problem"}
    assert ended.code == int("problem" in states)
    subjects = {line.split()[1] for line in ended.out.splitlines() if not line.startswith(" ")}
    assert {"python", "distill-core", "torch", "accelerate", "cpu", "precision", "distributed", "compile"} <= subjects
    assert {"disk", "DISTILL_DATA", "hub"} <= subjects


def test_a_problem_is_in_the_exit_code_and_programs_can_read_all(distill, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path / "nowhere"))
    ended = distill("doctor", "--json")
    found = [Finding(**entry) for entry in json.loads(ended.out)]
    wrong = [finding for finding in found if finding.state == "problem"]
    hint = "set it to the folder with the datasets"
    assert problem("DISTILL_DATA", f"{tmp_path / 'nowhere'} is not a folder", hint) in wrong
    assert (ended.code, ended.err) == (1, f"{len(wrong)} problem{'s' * (len(wrong) > 1)}\n")


def test_what_to_do_stands_below():
    assert as_text([ok("a", "fine"), note("long", "not there", "do it")]) == (
        "ok       a     fine\nnote     long  not there\n               → do it"
    )


def test_a_version_that_does_not_fit_is_a_problem(install):
    install("eins", "1.0", "zwei>=2", 'drei>=1; extra == "more"', 'vier>=1; extra == "more"', 'x; python_version < "3"')
    install("zwei", "1.9")
    install("drei", "0.5")
    needs = required("eins", requirements.Requirement, extras=True)
    assert [item.name for item in needs] == ["zwei", "drei"]
    assert [item.name for item in required("eins", requirements.Requirement)] == ["zwei"]
    assert list(of_package("zwei", [("eins", needs[0])])) == [
        problem("zwei", "1.9 is installed, but eins needs zwei>=2", "pip install 'zwei>=2'")
    ]
    assert list(of_package("fuenf", [("eins", requirements.Requirement("fuenf>=3"))])) == [
        problem("fuenf", "not installed, but eins needs it", "pip install 'fuenf>=3'")
    ]
    install("sechs", "3.1")
    assert list(of_package("sechs", [("eins", requirements.Requirement("sechs>=3"))])) == [
        ok("sechs", "3.1 (eins needs >=3)")
    ]


def test_a_package_between_that_wants_another_torch_is_found(install):
    install("accelerate", "99.0", "torch==1.0")
    found = [finding for finding in versions() if finding.subject == "torch" and finding.state == "problem"]
    assert [finding.hint for finding in found] == ["pip install 'torch==1.0'"]
    assert found[0].message.endswith(" is installed, but accelerate needs torch==1.0")


def test_a_sibling_of_another_version_is_found(install):
    install("distill-vision", "0.0.1", "distill-core==0.0.1")
    found = {finding.subject: finding for finding in versions() if finding.state == "problem"}
    assert found["distill-core"].hint == "pip install 'distill-core==0.0.1'"


def test_a_package_that_breaks_when_imported_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "brokenvision.py").write_text("raise RuntimeError('operator nms does not exist\\nmore')\n")
    assert list(importing("brokenvision")) == [
        problem(
            "brokenvision",
            "cannot be imported: operator nms does not exist",
            "pip install --force-reinstall torch brokenvision",
        )
    ]


def test_more_threads_than_cores_are_noted():
    (found,) = [finding for finding in cpu(8, 2, "8") if finding.subject == "cpu"]
    assert found == note(
        "cpu",
        "2 cores, torch uses 8 threads; OMP_NUM_THREADS is 8",
        "more threads than cores slow each other down: export OMP_NUM_THREADS=2",
    )
    assert next(cpu(1, 1, "")) == ok("cpu", "1 core, torch uses 1 thread; OMP_NUM_THREADS is not set")


def test_the_limit_of_a_container_counts(tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert cores(tmp_path / "cpu.max") == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores(tmp_path / "cpu.max") == cores(tmp_path / "absent") >= 1


def test_the_duration_of_a_precision_is_the_median_without_the_first_call(monkeypatch):
    module = importlib.import_module("distill_core.cli.setup.doctor._precision")
    clock = 0.0
    times = {"fp32": iter([9, *[4, 1, 5] * 3]), "bf16": iter([50, *[2, 8, 1] * 3])}

    def product(name):
        nonlocal clock
        clock += next(times[name])

    monkeypatch.setattr(module, "BUDGET", 1000)
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock)
    products = {name: functools.partial(product, name) for name in times}
    assert module.durations(products) == ({"fp32": 4, "bf16": 2}, 9)


def test_a_slow_machine_measures_each_precision_at_least_once(monkeypatch):
    module = importlib.import_module("distill_core.cli.setup.doctor._precision")
    monkeypatch.setattr(module, "BUDGET", 0)
    calls = []
    _, rounds = module.durations({"fp32": lambda: calls.append(1)})
    assert (rounds, len(calls)) == (1, 1 + module.WARMUPS)


def test_without_a_compiler_the_cpu_does_not_compile(monkeypatch, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("the GPU compiles with Triton")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "")
    assert list(compiling(torch)) == [
        note(
            "compile",
            "no C++ compiler: `compile: true` does not work on the CPU",
            "install g++ or clang++, or set CXX",
        )
    ]


def test_where_runs_go(tmp_path):
    (found,) = disk(tmp_path / "a" / "runs")
    assert found.message.endswith(f" GB free for runs in {tmp_path / 'a' / 'runs'}")
    (tmp_path / "file").write_text("")
    assert list(disk(tmp_path / "file")) == [
        problem("disk", f"{tmp_path / 'file'} is not writable", "run in another folder, or add --output DIR")
    ]


def test_where_data_are(tmp_path):
    told = "not set: datasets are read from ~/.cache/distill/data"
    assert list(data({})) == [note("DISTILL_DATA", told)]
    assert list(data({"DISTILL_DATA": str(tmp_path)})) == [ok("DISTILL_DATA", f"{tmp_path}: no folders")]
    (tmp_path / "glue").mkdir()
    assert list(data({"DISTILL_DATA": str(tmp_path)})) == [ok("DISTILL_DATA", f"{tmp_path}: glue")]


def test_what_of_the_hub_is_here(tmp_path):
    assert list(hub({"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})) == [
        note(
            "hub",
            f"0 models and 0 datasets in {tmp_path / 'hub'}; offline by HF_HUB_OFFLINE",
            "models and datasets cannot be loaded by their Hub names: use folders",
        )
    ]
    (tmp_path / "hub" / "models--a--b").mkdir(parents=True)
    told = f"1 models and 0 datasets in {tmp_path / 'hub'}; no variable sets it offline; the network was not tried"
    assert list(hub({"HF_HOME": str(tmp_path)})) == [ok("hub", told)]
    told = f"1 models and 0 datasets in {tmp_path / 'hub'}; offline by HF_HUB_OFFLINE"
    assert list(hub({"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})) == [ok("hub", told)]


def test_what_of_the_zoo_is_here(tmp_path, monkeypatch):
    pytest.importorskip("distill_zoo")
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path))
    (found,) = zoo({"DISTILL_HOME": str(tmp_path), "DISTILL_OFFLINE": "1"})
    assert found.state == "ok"
    assert found.message.endswith(
        f" weights are on this machine (in the package, or in {tmp_path}); offline by DISTILL_OFFLINE"
    )


def test_without_siblings_it_says_what_they_add(monkeypatch):
    module = importlib.import_module("distill_core.cli.setup.doctor._versions")
    monkeypatch.setattr(module, "OURS", ("distill-core", "distill-nothing"))
    monkeypatch.setattr(module, "ADDS", {"distill-nothing": "nothing"})
    assert note("distill-nothing", "not installed", "pip install distill-nothing, for nothing") in list(versions())
