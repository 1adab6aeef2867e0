from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from distill_zoo._safetensors import DTYPES, read_safetensors, write_safetensors


def tensors():
    typed = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in DTYPES.values()}
    return {
        **typed,
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "part": torch.arange(10.0)[::2],
        "ä/ö": torch.ones(1),
    }


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert (one[name].dtype, one[name].shape) == (other[name].dtype, other[name].shape)
        assert torch.equal(one[name], other[name])


def test_a_written_file_is_read_back(tmp_path):
    write_safetensors(tensors(), tmp_path / "a.safetensors")
    same(read_safetensors(tmp_path / "a.safetensors"), tensors())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_safetensors_library_reads_a_written_file(tmp_path):
    write_safetensors(tensors(), tmp_path / "a.safetensors")
    same(load_file(tmp_path / "a.safetensors"), tensors())


def test_a_file_of_the_safetensors_library_is_read(tmp_path):
    save_file({name: tensor.contiguous() for name, tensor in tensors().items()}, tmp_path / "a.safetensors")
    same(read_safetensors(tmp_path / "a.safetensors"), tensors())


def test_unaligned_tensors_are_read(tmp_path):
    text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}'
    data = b"\x07" + torch.tensor([2.5]).view(torch.uint8).numpy().tobytes()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert {name: tensor.item() for name, tensor in read_safetensors(tmp_path / "a").items()} == {"a": 7, "b": 2.5}


def test_complex_tensors_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"^'w' has the dtype torch.complex64, which safetensors files do not support$"
    ):
        write_safetensors({"w": torch.zeros(1, dtype=torch.complex64)}, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
