from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_core.errors import TrainingError
from distill_core.train.checkpoints._state_tree import pack, unpack
from distill_core.train.checkpoints._store import CheckpointStore

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NEST = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
)


@given(NEST)
def test_nests_survive(nest):
    tensors, tree = pack(nest)
    assert unpack(json.loads(json.dumps(tree)), tensors) == nest
    assert not tensors


def test_optimizer_state_survives():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.8, 0.9))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    tensors, tree = pack(optimizer.state_dict())
    restored = unpack(json.loads(json.dumps(tree)), tensors)
    assert restored["param_groups"] == optimizer.state_dict()["param_groups"]
    for key, entry in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, restored["state"][key][name]) for name, value in entry.items())


def test_what_is_neither_tensor_nor_plain_is_refused():
    with pytest.raises(TrainingError) as error:
        pack({"scheduler": {"function": len}})
    assert str(error.value) == (
        "a checkpoint holds tensors and plain data; scheduler.function is builtin_function_or_method"
    )


def state(value):
    return {"weights": {"w": torch.full((4,), float(value))}, "step": value}


def test_write_read_and_sweep(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints")
    for step in range(1, 5):  # the best and the two newest stay
        store.write(f"step-{step}", state(step), best=step == 2)
    store.wait()
    assert sorted(path.name for path in store.folder.iterdir()) == ["best", "latest", "step-2", "step-3", "step-4"]
    assert store.read("latest")["step"] == 4
    assert torch.equal(store.read("best")["weights"]["w"], torch.full((4,), 2.0))


FILES = ["state.safetensors", "state.json", "manifest.json"]


@pytest.fixture
def two_checkpoints(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints")
    store.write("step-1", state(1), best=True)
    store.write("step-2", state(2))
    store.wait()
    return store


def assert_the_one_before_is_used(store):
    """As a resumed run would: it looks anew."""
    restored, wrong = CheckpointStore(store.folder).newest_intact()
    assert restored["step"] == 1
    assert torch.equal(restored["weights"]["w"], torch.full((4,), 1.0))
    assert len(wrong) == 1
    assert wrong[0].startswith(f"the checkpoint {store.folder / 'step-2'} is ")


def test_a_flipped_bit_at_a_hundred_offsets_is_found_and_the_one_before_is_used(two_checkpoints):
    lengths = {file: len((two_checkpoints.folder / "step-2" / file).read_bytes()) for file in FILES}
    places = [(file, offset) for file, length in lengths.items() for offset in range(length)]
    chosen = places[:: len(places) // 100]
    assert len(chosen) >= 100
    for number, (file, offset) in enumerate(chosen):
        path = two_checkpoints.folder / "step-2" / file
        whole = path.read_bytes()
        content = bytearray(whole)
        content[offset] ^= 1 << number % 8
        path.write_bytes(content)
        assert_the_one_before_is_used(two_checkpoints)
        path.write_bytes(whole)
    assert two_checkpoints.newest_intact()[0]["step"] == 2


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_short_at_any_length_is_found(two_checkpoints, file):
    path = two_checkpoints.folder / "step-2" / file
    whole = path.read_bytes()
    for length in {0, 1, 8, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:length])
        assert_the_one_before_is_used(two_checkpoints)
    path.write_bytes(whole + b" ")
    if file != "manifest.json":  # a space after its end changes nothing that it says
        assert_the_one_before_is_used(two_checkpoints)


@pytest.mark.parametrize("file", FILES)
def test_a_deleted_file_is_found(two_checkpoints, file):
    (two_checkpoints.folder / "step-2" / file).unlink()
    assert_the_one_before_is_used(two_checkpoints)


@pytest.mark.parametrize("swapped", [[file] for file in FILES] + [FILES[:2], FILES])
def test_files_of_another_checkpoint_are_found(two_checkpoints, swapped):
    for file in swapped:
        shutil.copy(two_checkpoints.folder / "step-1" / file, two_checkpoints.folder / "step-2" / file)
    assert_the_one_before_is_used(two_checkpoints)


def test_two_files_swapped_within_a_checkpoint_are_found(two_checkpoints):
    first, second = (two_checkpoints.folder / "step-2" / file for file in FILES[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert_the_one_before_is_used(two_checkpoints)


@pytest.mark.parametrize("content", [b"", b"step-7\n", b"\xff\xfe\x00", b"../elsewhere\n"])
def test_a_damaged_pointer_costs_nothing(two_checkpoints, content):
    (two_checkpoints.folder / "latest").write_bytes(content)
    assert two_checkpoints.newest_intact()[0]["step"] == 2


def test_after_damage_the_one_that_was_taken_up_is_kept_until_the_next_is_whole(two_checkpoints):
    (two_checkpoints.folder / "step-2" / "state.json").unlink()
    store = CheckpointStore(two_checkpoints.folder)
    store.newest_intact()
    store.write("step-2", state(2), best=True)
    assert store.name("latest") == "step-2-1"
    assert sorted(path.name for path in store.folder.glob("step-*")) == ["step-1", "step-2-1"]


def test_missing_file_and_no_checkpoint(tmp_path):
    store = CheckpointStore(tmp_path / "run")
    with pytest.raises(TrainingError) as error:
        store.newest_intact()
    assert str(error.value) == f"there is no checkpoint to resume from in {tmp_path / 'run'}"
    with pytest.raises(TrainingError) as error:
        store.read("best")
    assert str(error.value) == f"there is no best checkpoint in {tmp_path / 'run'}"
    store.write("step-1", state(1))
    store.wait()
    (store.folder / "step-1" / "state.json").unlink()
    with pytest.raises(TrainingError) as error:
        store.read("latest")
    assert str(error.value) == (
        f"the checkpoint {store.folder / 'step-1'} is incomplete: its manifest or a file is missing or unreadable"
    )


def test_an_unfinished_checkpoint_is_never_seen(tmp_path):
    store = CheckpointStore(tmp_path)
    store.write("step-1", state(1))
    store.wait()
    (tmp_path / ".step-2.tmp").mkdir()
    (tmp_path / ".step-2.tmp" / "state.json").write_text("{}")
    assert store.newest_intact()[0]["step"] == 1
    store.write("step-2", state(2))
    store.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-1", "step-2"]


def test_a_checkpoint_is_never_written_over_another(tmp_path):
    store = CheckpointStore(tmp_path)
    store.write("step-1", state(1))
    store.write("step-1", state(2))
    assert store.name("latest") == "step-1-1"
    assert (store.read("latest")["step"], store.read_named("step-1")["step"]) == (2, 1)


def test_a_full_disk_is_told_and_the_last_checkpoint_stays(tmp_path):
    """A limit on the size of files stands for a full disk: the same calls fail, with another errno."""
    script = """
import resource, signal, sys, torch
from pathlib import Path
from distill_core.errors import TrainingError
from distill_core.train.checkpoints._store import CheckpointStore
store = CheckpointStore(Path(sys.argv[1]))
store.write("step-1", {"w": torch.zeros(4)})
store.wait()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    store.write("step-2", {"w": torch.zeros(40000)})
    store.wait()
except TrainingError as error:
    print(error)
print(store.read("latest")["w"].tolist(), sorted(path.name for path in store.folder.iterdir()))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"the checkpoint {tmp_path / 'step-2'} cannot be written: File too large\n"
        "  hint: make room and go on with --resume from step-1, which is untouched\n"
        "[0.0, 0.0, 0.0, 0.0] ['latest', 'step-1']\n"
    )
