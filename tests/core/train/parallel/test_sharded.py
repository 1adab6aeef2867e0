"""Each setting of sharded models changes what it names, and no result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributed.checkpoint._consolidate_hf_safetensors import consolidate_safetensors_files

from distill_core.cli.setup._convert import convert_file
from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import DDPSettings, FSDPSettings
from distill_core.train import Experiment, Stage, Term, Trainer
from distill_core.train.checkpoints import CheckpointStore
from distill_core.train.parallel import DataParallel

SCRIPT = Path(__file__).parent / "sharded.py"
CASES = ["ddp", "teacher", "bf16", "kept", "offload", "deferred", "compiled"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What both processes saw, and the weights at the end, by setting."""
    folder = tmp_path_factory.mktemp("sharded")
    command = [sys.executable, str(SCRIPT), str(folder), *CASES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), {name: load_file(folder / name / "student.safetensors") for name in CASES}


@pytest.mark.parametrize("name", CASES[1:])
def test_no_setting_changes_the_result(trained, name):
    tolerance = {"rtol": 0, "atol": 0.05} if name == "bf16" else {"rtol": 1e-4, "atol": 1e-6}
    expected = trained[1]["ddp"]
    for key, value in trained[1][name].items():
        torch.testing.assert_close(value, expected[key], **tolerance)
    differs = any(not torch.equal(value, expected[key]) for key, value in trained[1][name].items())
    assert differs or name != "bf16"


def test_a_sharded_teacher_beside_a_replicated_student(trained):
    for notes in trained[0]["teacher"]:
        assert (notes["teacher"], notes["student"], notes["student_ema"]) == (True, False, False)
    for notes in trained[0]["offload"]:
        assert (notes["teacher"], notes["student"], notes["student_ema"]) == (False, True, True)


def test_gathers_in_bf16_and_sums_in_fp32(trained):
    for notes in trained[0]["bf16"]:
        assert notes["sent"] == ["all torch.bfloat16", "reduce torch.float32"]
        assert (notes["dtype"], notes["output"]) == ("torch.bfloat16", "torch.float32")
    assert trained[0]["kept"][0]["sent"] == ["all torch.float32", "reduce torch.float32"]


def test_a_block_is_freed_after_its_forward_unless_it_is_kept(trained):
    assert [notes["gathered"] for name in ("kept", "bf16") for notes in trained[0][name]] == [True, True, False, False]


def test_shards_in_host_memory(trained):
    assert [notes["offload"] for name in ("offload", "kept") for notes in trained[0][name]] == [
        True,
        True,
        False,
        False,
    ]


def test_activation_checkpointing_runs_a_block_twice_a_step(trained):
    assert [notes["calls"] for name in ("offload", "kept") for notes in trained[0][name]] == [12, 12, 6, 6]


def test_no_process_holds_the_model_that_it_shards(trained):
    """Student and EMA copy: each process reads and creates its shards of both, and no more."""
    total = sum(value.numel() for name, value in trained[1]["deferred"].items() if name != "tied")
    read = [notes["read"] for notes in trained[0]["deferred"]]
    assert sum(read) == 2 * total
    assert max(read) < 1.1 * total
    assert all(notes["created"] < 1.5 * total for notes in trained[0]["deferred"])


def test_equal_blocks_are_compiled_once(trained):
    assert [notes["graphs"] for notes in trained[0]["compiled"]] == [1, 1]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run of two processes, stopped in its second epoch, and resumed on two, three and one."""
    folder = tmp_path_factory.mktemp("resumed")
    command = [sys.executable, str(SCRIPT), str(folder), "resumed"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


@pytest.mark.parametrize(
    ("processes", "directory"),
    [(2, "on-2"), (3, "on-3"), (1, "on-1"), *((2, f"killed-in-{moment}") for moment in ("shards", "state", "pointer"))],
)
def test_a_sharded_run_resumes_on_any_number_of_processes(resumed, processes, directory):
    """Bit for bit on the same number; weights, averages and the log line of the epoch that was interrupted."""
    whole, again = resumed[1] / "whole", resumed[1] / directory
    for name in ("student", "student_ema"):
        expected, found = (load_file(folder / f"{name}.safetensors") for folder in (whole, again))
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=0 if processes == 2 else 1e-5, atol=0 if processes == 2 else 1e-6
            )
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (whole, again)]
    for one, other in zip(*lines, strict=True):
        assert json.loads(one)["loss"] == pytest.approx(json.loads(other)["loss"], rel=1e-5)


def test_each_process_writes_its_shards_and_only_the_main_process_holds_the_weights(resumed):
    assert [notes["held"] for notes in resumed[0]["whole"]] == [24, 0]
    checkpoint = resumed[1] / "stopped" / "checkpoints" / "step-00000003"
    files = [load_file(path) for path in sorted((checkpoint / "shards").iterdir())]
    rows = [tensors["models.student.embed.weight"].shape[0] for tensors in files]
    assert rows == [5, 5]
    assert not any(name.startswith("models.") for name in load_file(checkpoint / "state.safetensors"))


def test_a_process_that_cannot_write_leaves_the_checkpoint_before(resumed):
    for notes in resumed[0]["full-disk"]:
        assert "process 1 cannot write its shards to" in notes["error"]
        assert "No space left on device" in notes["error"]
        assert notes["latest"] == "step-00000002"
    checkpoint = resumed[1] / "full-disk" / "checkpoints" / "step-00000002"
    assert CheckpointStore(checkpoint.parent).read("latest")["run"]["step"] == 2


@pytest.mark.parametrize("moment", ["shards", "state", "pointer"])
def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(resumed, moment):
    (notes,) = resumed[0][f"killed-in-{moment}"]
    assert "another process has ended" in notes["error"]
    assert notes["latest"] == "step-00000002"
    assert "step-00000002" in notes["left"]
    assert ("step-00000004" in notes["left"]) == (moment == "pointer")


def test_one_command_writes_the_weights_of_a_sharded_checkpoint(resumed, tmp_path):
    """They are those of torch's own consolidation of its files."""
    convert_file(resumed[1] / "stopped", tmp_path / "student.safetensors", key="student")
    found = load_file(tmp_path / "student.safetensors")
    shards = resumed[1] / "stopped" / "checkpoints" / "step-00000003" / "shards"
    (tmp_path / "all").mkdir()
    consolidate_safetensors_files(
        str(shards), str(tmp_path / "all"), dict.fromkeys(load_file(next(shards.iterdir())), 1)
    )
    expected = load_file(next((tmp_path / "all").glob("*.safetensors")))
    assert len(found) == 24
    assert torch.equal(found.pop("tied"), found["scale"])
    assert all(torch.equal(value, expected[f"models.student.{name}"]) for name, value in found.items())
    with pytest.raises(DistillError, match="has the models student, student_ema"):
        convert_file(resumed[1] / "stopped", tmp_path / "other.safetensors")


def test_a_damaged_shard_is_found(resumed, tmp_path):
    shutil.copytree(resumed[1] / "stopped" / "checkpoints", tmp_path / "checkpoints")
    file = next((tmp_path / "checkpoints" / "step-00000003" / "shards").iterdir())
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    state, errors = CheckpointStore(tmp_path / "checkpoints").newest_intact()
    assert state["run"]["step"] == 2
    assert f"the SHA-256 of shards/{file.name} differs from the manifest" in errors[0]


def block() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 6))


def experiment(**settings):
    torch.manual_seed(0)
    models = {
        name: nn.Sequential(nn.Linear(6, 6), block(), block(), block(), nn.Linear(6, 3))
        for name in ("student", "teacher")
    }
    data = {"train": Loader(TensorData({"input": torch.randn(16, 6), "target": torch.arange(16) % 3}), 8)}
    losses = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "hint": Term(loss=nn.MSELoss(), inputs={"input": "student.2.1", "target": "teacher.2.1"}),
    }
    if settings.pop("hint_only", False):
        del losses["ce"]
    stage = Stage(epochs=2, losses=losses, optimizer=partial(torch.optim.SGD, lr=0.1))
    return Experiment(models=models, data=data, stages=[stage], **settings)


@pytest.mark.parametrize("hint_only", [False, True])
def test_recomputation_changes_no_bit(hint_only):
    """Dropout draws the same numbers, running statistics are updated once, and a forward may end within a block."""
    plain = experiment(hint_only=hint_only)
    Trainer(plain).fit()
    recomputed = experiment(hint_only=hint_only, activation_checkpointing=["student"])
    Trainer(recomputed).fit()
    expected = plain.models["student"].state_dict()
    for name, value in recomputed.models["student"].state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert not any("forward" in vars(module) for module in recomputed.models["student"].modules())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_checkpointing": ["studnt"]}, "activation_checkpointing.0: there is no model 'studnt'"),
        ({"compile_blocks": {"studnt": True}}, "compile_blocks.studnt: there is no model 'studnt'"),
        ({"compile_blocks": {"student": "indcutor"}}, "compile_blocks.student: there is no backend 'indcutor'"),
        ({"compile_blocks": {"student": True}, "compile": True}, "compile_blocks: `compile` compiles complete models"),
        ({"fsdp": FSDPSettings(cpu_offload=True)}, "fsdp: it sets how models are sharded, and no model is"),
        (
            {"parallel": "deepspeed", "ddp": DDPSettings(reduce_dtype="bf16")},
            "ddp: it sets how gradients of replicated models",
        ),
        ({"parallel": "deepspeed", "shard": ["student"]}, "shard: `parallel: deepspeed` replicates every model"),
        ({"parallel": "fsdp", "shard": ["studnt"]}, "shard: there is no model 'studnt'"),
    ],
)
def test_a_setting_without_an_effect_is_refused(settings, message):
    with pytest.raises(DistillError) as raised:
        Trainer(experiment(**settings)).fit()
    assert str(raised.value).startswith(message)


def test_a_model_without_blocks_is_refused():
    given = experiment(activation_checkpointing=["student"])
    given.models["student"] = nn.Linear(6, 3)
    given.stages[0].losses.pop("hint")
    with pytest.raises(DistillError, match="'student' has no blocks"):
        Trainer(given).fit()


@pytest.mark.parametrize(("key", "dtype"), [(None, None), ("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_the_dtype_in_which_gradients_are_summed_is_a_key(monkeypatch, key, dtype):
    """What it does to the gradients of three processes is in test_gradients.py."""
    given = []

    def noted(module, *, reduce_dtype, is_split):
        given.append(reduce_dtype)
        return DataParallel(module, reduce_dtype=reduce_dtype, is_split=is_split)

    monkeypatch.setattr("distill_core.train._stage.DataParallel", noted)
    Trainer(experiment(ddp=DDPSettings(reduce_dtype=key))).fit()
    assert given == [dtype]
