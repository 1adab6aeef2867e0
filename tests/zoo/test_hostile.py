"""Malicious and mislabelled files: each is refused and no code in it is run."""

from __future__ import annotations

import io
import json
import pickle  # noqa: TID251 - creates the files to refuse
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors

import distill_zoo
from distill_zoo import ZooError


class Call:
    """An object that is pickled as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(path):
    """Create a file, as an attacker's code would."""
    path.touch()


def by_name(name, *arguments, protocol=2):
    """Return a pickle that calls a function by its name, without importing it here."""
    module, _, attribute = name.rpartition(".")
    packed = pickle.dumps(arguments, protocol)
    body = packed[2:-1] if protocol >= 2 else packed[:-1]
    start = bytes([0x80, protocol]) if protocol >= 2 else b""
    return start + f"c{module}\n{attribute}\n".encode() + body + b"R."


def torch_zip(pickled, *, compress=zipfile.ZIP_STORED, extra=()):
    """Return an archive in the layout of torch.save with any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
        for name, data in extra:
            archive.writestr(name, data)
    return buffer.getvalue()


def legacy(content):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def compressed(data):
    """Return the same archive, compressed to a thousandth of its size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    return buffer.getvalue()


def header(entries, data=b"", length=None):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


GOOD = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
SAFE, TORCH = ".safetensors", ".pt"


def pickles(canary):
    """Yield pickles that run code when they are loaded."""
    shell = f"touch {canary}"
    python = f"open({str(canary)!r}, 'w').close()"
    yield "os.system", by_name("os.system", shell)
    yield "posix.system", by_name("posix.system", shell)
    yield "subprocess.call", by_name("subprocess.call", ["touch", str(canary)])
    yield "subprocess.Popen", by_name("subprocess.Popen", ["touch", str(canary)])
    yield "builtins.exec", by_name("builtins.exec", python)
    yield "builtins.eval", by_name("builtins.eval", python)
    yield "builtins.open", by_name("builtins.open", str(canary), "w")
    yield "pathlib.Path.touch", pickle.dumps(Call(touch, canary))
    yield "runpy._run_code", by_name("runpy._run_code", python, {})
    yield "timeit.timeit", by_name("timeit.timeit", python)
    yield "code.interact", by_name("code.InteractiveInterpreter.runcode", python)
    yield "torch.load", by_name("torch.load", str(canary))
    yield "torch.hub.load", by_name("torch.hub.load", "a/b", "c")
    yield "torch.ops.load_library", by_name("torch._ops._Ops.load_library", str(canary))
    yield "torch compile and exec", by_name("torch.fx.graph_module._exec_with_source", python, {})
    yield "numpy.load", by_name("numpy.load", str(canary), None, True)
    yield "builtins.getattr", by_name("builtins.getattr", "x", "upper")
    yield "importlib.import_module", by_name("importlib.import_module", "antigravity")
    yield "socket.create_connection", by_name("socket.create_connection", ("127.0.0.1", 1))
    yield "shutil.rmtree", by_name("shutil.rmtree", str(canary.parent))


def torch_files(canary):
    for name, pickled in pickles(canary):
        yield f"torch archive: {name}", torch_zip(pickled)
    for protocol in range(2, 6):
        yield f"state dict, protocol {protocol}", torch_zip(pickle.dumps({"w": Call(touch, canary)}, protocol))
        yield f"bare pickle, protocol {protocol}", pickle.dumps({"w": Call(touch, canary)}, protocol)
    yield "bare pickle, protocol 0", pickle.dumps(Call(touch, canary), 0)
    yield "bare pickle, protocol 1", pickle.dumps(Call(touch, canary), 1)
    yield "legacy file", legacy({"w": Call(touch, canary)})
    yield "malicious value beside weights", saved({**GOOD, "hook": Call(touch, canary)})
    yield "malicious value in an optimizer", saved({"model": GOOD, "optimizer": {"state": Call(touch, canary)}})
    yield "pickled module", saved(torch.nn.Linear(2, 2))
    yield "extension code", torch_zip(b"\x80\x02\x82\x01.")
    yield "persistent id", torch_zip(b"\x80\x02X\x01\x00\x00\x00xQ.")
    yield "endless pickle", torch_zip(b"\x80\x02" + b"(" * 10_000)
    yield "huge text in a pickle", torch_zip(b"\x80\x02\x8d" + struct.pack("<Q", 1 << 60) + b".")
    yield "jump in the memo", torch_zip(b"\x80\x02j\xff\xff\xff\x7f.")
    yield "archive without data", torch_zip(b"")
    yield (
        "TorchScript",
        torch_zip(pickle.dumps({}, 2), extra=[("archive/constants.pkl", b"N."), ("archive/code/x.py", b"import os")]),
    )
    yield "half a torch file", saved(GOOD)[: len(saved(GOOD)) // 2]
    yield "torch file without its end", saved(GOOD)[:-30]
    yield "compressed bomb", compressed(saved({"weight": torch.zeros(2_000_000)}))
    yield "tensor larger than its file", saved({"w": torch.zeros(1).expand(1 << 40)})
    yield (
        "sparse",
        saved(
            {
                "w": torch.sparse_coo_tensor(
                    torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (1 << 40,), check_invariants=False
                )
            }
        ),
    )
    yield "meta tensor", saved({"w": torch.empty(1 << 40, device="meta")})
    yield "numpy objects", npy(np.array([Call(touch, canary)], dtype=object))
    yield "HTML page", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "JSON error", b'{"error": "rate limit"}'
    yield "Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "gzip", b"\x1f\x8b\x08\x00" + bytes(100)
    yield "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)
    yield "empty file", b""
    yield "zeros", bytes(1000)
    yield "zip of something else", torch_zip(b"")[:40]


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def safe_files(canary):
    good = save_safetensors(GOOD)
    yield "a pickle called safetensors", pickle.dumps({"w": Call(touch, canary)})
    yield "a torch file called safetensors", saved(GOOD)
    yield "truncated safetensors", good[:-1]
    yield "safetensors with trailing bytes", good + b"x"
    yield "header longer than the file", header({"w": entry()}, bytes(8), length=1 << 40)
    yield "header of a hundred gigabytes", struct.pack("<Q", 100 << 30) + b"{"
    yield "header that is not JSON", header(b"{'w': 1}")
    yield "header that is not a mapping", header(b"[1]")
    yield "header nested too deeply", header(b"{" + b'"a":[' * 100_000)
    yield "header with a name twice", header(b'{"w":%s,"w":%s}' % ((json.dumps(entry()).encode(),) * 2), bytes(8))
    yield "tensor outside", header({"w": entry(offsets=(0, 800), shape=(200,))}, bytes(8))
    yield "tensor at a negative offset", header({"w": entry(offsets=(-8, 0))}, bytes(8))
    yield "tensor that ends before it begins", header({"w": entry(offsets=(8, 0))}, bytes(8))
    yield "tensors that overlap", header({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12))
    yield "gap between tensors", header({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20))
    yield "shape of another size", header({"w": entry(shape=(3,))}, bytes(8))
    yield "shape that overflows", header({"w": entry(shape=(1 << 62, 1 << 62))}, bytes(8))
    yield "negative shape", header({"w": entry(shape=(-2,))}, bytes(8))
    yield "unknown dtype", header({"w": entry(dtype="OBJECT")}, bytes(8))
    yield "extra field", header({"w": entry(code="import os")}, bytes(8))
    yield "empty safetensors", b""
    yield "no header", struct.pack("<Q", 0)


def every_file(canary):
    yield from ((name, TORCH, data) for name, data in torch_files(canary))
    yield from ((name, SAFE, data) for name, data in safe_files(canary))


@pytest.fixture(scope="module")
def arsenal(tmp_path_factory):
    canary = tmp_path_factory.mktemp("canary") / "ran"
    return canary, {name: (suffix, data) for name, suffix, data in every_file(canary)}


@pytest.mark.parametrize("name", [name for name, _, _ in every_file(Path("canary"))])
def test_a_malicious_file_is_refused_and_nothing_is_run(name, arsenal, make_card, add_card, tmp_path, monkeypatch):
    canary, files = arsenal
    suffix, data = files[name]
    card = add_card(make_card(f"https://example.org/line{suffix}", in_features=3, out_features=2))
    path = tmp_path / "home" / "weights" / card.name / card.weights.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    monkeypatch.setenv("DISTILL_OFFLINE", "1")
    with pytest.raises(ZooError) as caught:
        distill_zoo.load("toy/line")
    assert not canary.exists()
    assert canary.parent.exists()
    assert str(path) in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_the_malicious_files_would_run_code_if_unpickled(arsenal):
    canary, files = arsenal
    assert len(files) >= 40
    for name in ("bare pickle, protocol 4", "a pickle called safetensors"):
        pickle.loads(files[name][1])
        assert canary.exists()
        canary.unlink()
    torch.load(io.BytesIO(files["torch archive: posix.system"][1]), weights_only=False)
    assert canary.exists()
    canary.unlink()
