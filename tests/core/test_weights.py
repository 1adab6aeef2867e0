from __future__ import annotations

import hashlib
import os
import pickle  # noqa: TID251  to make a hostile file

import pytest
import safetensors.torch
import torch
from torch import nn

from distill_core.errors import DistillError
from distill_core.records import fingerprint
from distill_core.weights import _write, load_weights, read_weights, save_weights, write_tensors


def test_round_trip_also_with_tied_tensors(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3))
    model[1].weight = model[0].weight
    save_weights(model, tmp_path / "deep" / "model.safetensors")
    other = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3))
    assert load_weights(other, tmp_path / "deep" / "model.safetensors") is other
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("metadata", [None, {"head\u2028": 'of "ü"'}])
def test_a_file_is_what_the_library_writes_and_its_hash_is_known(tmp_path, metadata):
    """Every dtype of the library, with scalars, empty tensors and names that JSON escapes."""
    tensors = {}
    for name, dtype in safetensors.torch._TYPES.items():
        values = torch.arange(6) % 2
        tensors |= {f"z.{name}": values.reshape(2, 3).to(dtype), f"a.{name}": values[1].clone().to(dtype)}
        tensors[f'é"\n.{name}'] = torch.empty(0, 3, dtype=dtype)
    safetensors.torch.save_file(tensors, tmp_path / "library", metadata)
    written = write_tensors(tensors, tmp_path / "ours", metadata)
    content = (tmp_path / "ours").read_bytes()
    assert content == (tmp_path / "library").read_bytes()
    assert written == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_pieces_of_a_large_tensor_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(_write, "_CHUNK", 7)
    tensors = {"a": torch.randn(100), "b": torch.randn(3, 5)}
    written = write_tensors(tensors, tmp_path / "ours")
    safetensors.torch.save_file(tensors, tmp_path / "library")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "library").read_bytes()
    assert written == fingerprint(tmp_path / "ours")


@pytest.mark.parametrize("tensor", [torch.zeros(2, dtype=torch.complex128), torch.eye(2).to_sparse()])
def test_a_tensor_that_the_format_cannot_hold_is_refused(tmp_path, tensor):
    with pytest.raises(DistillError) as error:
        write_tensors({"fine": torch.zeros(1), "odd": tensor}, tmp_path / "file")
    assert str(error.value) == (
        f"'odd' is a tensor of {tensor.dtype} and {tensor.layout}, which safetensors files cannot hold"
    )
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state}])
def test_reads_torch_files(tmp_path, wrap):
    model = nn.Linear(2, 2)
    torch.save(wrap(model.state_dict()), tmp_path / "model.pt")
    assert torch.equal(read_weights(tmp_path / "model.pt")["weight"], model.weight)


def test_whoever_may_read_new_files_may_read_weights(tmp_path):
    (tmp_path / "new.txt").touch()
    save_weights(nn.Linear(2, 2), tmp_path / "linear.safetensors")
    assert (tmp_path / "linear.safetensors").stat().st_mode == (tmp_path / "new.txt").stat().st_mode


def test_on_the_meta_device_nothing_is_read(tmp_path):
    with torch.device("meta"):
        model = load_weights(nn.Linear(2, 2), tmp_path / "not there yet.safetensors")
    assert model.weight.is_meta


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickled_code_does_not_run(tmp_path):
    (tmp_path / "bad.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    torch.save({"weight": Bomb(tmp_path / "ran")}, tmp_path / "worse.pt")
    for name in ("bad.pt", "worse.pt"):
        with pytest.raises(DistillError) as error:
            read_weights(tmp_path / name)
        said = f"{tmp_path / name} is not a file of weights that can be read without running code"
        assert str(error.value).partition(": it needs")[0] == said
    assert not (tmp_path / "ran").exists()


def test_what_does_not_fit_is_listed(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(nn.Linear(2, 5), path)
    with pytest.raises(DistillError) as error:
        load_weights(nn.Linear(2, 3), path)
    assert str(error.value) == (
        f"{path} does not fit Linear:\n"
        "  bias is (5,) in the file and (3,) in the model\n"
        "  weight is (5, 2) in the file and (3, 2) in the model"
    )
    save_weights(nn.Bilinear(2, 2, 3), path)
    with pytest.raises(DistillError, match="weight is"):
        load_weights(nn.Linear(2, 3), path, strict=False)
    save_weights(nn.Sequential(nn.Linear(2, 3)), path)
    with pytest.raises(DistillError) as error:
        load_weights(nn.Linear(2, 3), path)
    assert str(error.value) == (
        f"{path} does not fit Linear:\n  0.bias is not in the model\n  0.weight is not in the model\n"
        "  bias is missing in the file\n  weight is missing in the file"
    )


def test_missing_or_other_files(tmp_path):
    with pytest.raises(DistillError) as error:
        read_weights(tmp_path / "none.pt")
    assert str(error.value) == (
        f"there are no weights at {tmp_path / 'none.pt'}\n  hint: run the experiment that trains them, or use another path"
    )
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(DistillError) as error:
        read_weights(tmp_path / "list.pt")
    assert str(error.value) == f"{tmp_path / 'list.pt'} holds list, not tensors by name"


def test_names_that_a_module_had_before_are_known(tmp_path):
    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            if f"{prefix}kernel" in state_dict:
                state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}kernel")
            super()._load_from_state_dict(state_dict, prefix, *rest)

    old = {"kernel": torch.full((3, 2), 7.0), "bias": torch.zeros(3)}
    torch.save(old, tmp_path / "old.pth")
    model = load_weights(Renamed(2, 3), tmp_path / "old.pth")
    assert torch.equal(model.weight, old["kernel"])
