"""GGUF files are written by the user's own converter of llama.cpp, here a script that notes what it is given."""

from __future__ import annotations

import sys

import pytest

from distill_core.errors import DistillError
from distill_core.export import export, find_converter

from ..chat_tokenizers import chat_tokenizer, template

CONVERTER = """
import pathlib, sys
folder, flag, file = sys.argv[1:]
assert flag == "--outfile"
names = sorted(path.name for path in pathlib.Path(folder).iterdir())
pathlib.Path(file).write_bytes(MAGIC + repr(names).encode())
"""


@pytest.fixture
def converter(tmp_path):
    def write(magic: bytes = b"GGUF", more: str = ""):
        file = tmp_path / "llama.cpp/convert_hf_to_gguf.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(CONVERTER.replace("MAGIC", repr(magic)) + more)
        return file

    return write


def test_the_converter_reads_a_folder_with_tokenizer(decoder, converter, tmp_path):
    tokenizer = chat_tokenizer(chat_template=template())
    exported = export(
        decoder("llama"), {}, tmp_path / "out/student.gguf", "gguf", tokenizer=tokenizer, converter=converter()
    )
    content = exported.file.read_bytes()
    assert content.startswith(b"GGUF")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert name.encode() in content
    assert [path.name for path in exported.file.parent.iterdir()] == ["student.gguf"]


@pytest.mark.parametrize(
    ("magic", "more", "message"),
    [
        (b"GGML", "", "convert_hf_to_gguf.py did not write a GGUF file"),
        (b"GGUF", "sys.exit('Model OddForCausalLM is not supported')", "failed: Model OddForCausalLM is not supported"),
    ],
)
def test_a_converter_that_fails_leaves_no_file(decoder, converter, tmp_path, magic, more, message):
    tokenizer = chat_tokenizer(chat_template=template())
    with pytest.raises(DistillError, match=message) as caught:
        export(
            decoder("llama"), {}, tmp_path / "out/a.gguf", "gguf", tokenizer=tokenizer, converter=converter(magic, more)
        )
    assert f"hint: it was called as: {sys.executable} {tmp_path}/llama.cpp/convert_hf_to_gguf.py " in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_tokenizer_is_required(decoder, tmp_path):
    with pytest.raises(DistillError, match="--format gguf needs a tokenizer"):
        export(decoder("llama"), {}, tmp_path / "a.gguf", "gguf")


def test_the_converter_is_found_by_option_variable_and_path(converter, tmp_path, monkeypatch):
    script, command = converter(), "distill export out --format gguf"
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DistillError) as caught:
        find_converter(None, command)
    hint = "git clone --depth 1 https://github.com/ggml-org/llama.cpp && distill export out --format gguf"
    assert str(caught.value) == (
        "--format gguf needs llama.cpp's convert_hf_to_gguf.py, which is not in PATH, LLAMA_CPP or `--converter`\n"
        f"  hint: {hint} --converter llama.cpp"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert find_converter(None, command) == script
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LLAMA_CPP", str(script.parent))
    assert find_converter(None, command) == script
    assert find_converter(script, command) == script
    with pytest.raises(DistillError, match=r"`--converter` must be convert_hf_to_gguf\.py or the folder of llama\.cpp"):
        find_converter(tmp_path / "nowhere", command)
