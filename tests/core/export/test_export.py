"""Every kind of student becomes a file that its runtime alone can run, for any batch and any length."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from distill_core.errors import DistillError
from distill_core.export import export, longest_sequence

TEXT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
ALONE = """
import sys
import torch
program = torch.export.load(sys.argv[1]).module()
torch.save([program(*each.values()) if len(each) == 1 else program(**each) for each in torch.load(sys.argv[2])], sys.argv[3])
assert not {"transformers", "torchvision", "distill_core"} & sys.modules.keys()
"""


def tokens(batch, length, vocabulary=30):
    ids = torch.randint(5, vocabulary, (batch, length), generator=torch.Generator().manual_seed(batch * 100 + length))
    mask = (
        torch.arange(length)[None] < torch.tensor([length, max(1, length - 2)])[torch.arange(batch) % 2][:, None]
    ).long()
    return {"input_ids": ids, "attention_mask": mask}


def images(batch, size=32, name="x"):
    return {name: torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(batch))}


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=30, max_position_embeddings=24, output_hidden_states=True, **TEXT)
    return BertForSequenceClassification(config), tokens


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=8, n_layer=2, n_head=2, n_positions=24)), tokens


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(vocab_size=30, max_position_embeddings=24, bos_token_id=1, eos_token_id=2, **TEXT)
    ), tokens


def torchvision_classifier():
    from torchvision.models import squeezenet1_1

    return squeezenet1_1(num_classes=5), lambda batch, _: images(batch)


def cifar_classifier():
    from distill_vision.models import resnet20

    return resnet20(), lambda batch, _: images(batch)


class Segmenter(nn.Module):
    """Returns a mapping, as torchvision's segmentation models do."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return {"out": self.body(x), "aux": self.body(x)}


def segmenter():
    return Segmenter(), lambda batch, _: images(batch, 8)


STUDENTS = [bert, gpt2, llama, torchvision_classifier, cifar_classifier, segmenter]
TRANSFORMERS = {bert, gpt2, llama}


def expected(model, inputs):
    with torch.no_grad():
        output = model(*inputs.values()) if len(inputs) == 1 else model(**inputs)
    return output["logits"] if "logits" in dir(output) else output["out"] if isinstance(output, dict) else output


@pytest.mark.parametrize("student", STUDENTS)
def test_a_program_takes_other_batches_and_lengths(student, tmp_path):
    torch.manual_seed(0)
    model, sample = student()
    exported = export(model, sample(4, 9), tmp_path / "model.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    program = torch.export.load(exported.file).module()
    for inputs in (sample(1, 1), sample(7, 5), sample(3, 24 if student in TRANSFORMERS else 9)):
        given = program(*inputs.values()) if len(inputs) == 1 else program(**inputs)
        torch.testing.assert_close(given, expected(model, inputs), rtol=1e-4, atol=1e-4)
    shapes = [each["shape"] for each in exported.inputs.values()]
    assert all(shape[0] == "batch" and (shape[1] == "sequence") == (student in TRANSFORMERS) for shape in shapes)


def test_torch_alone_runs_a_model_of_transformers(tmp_path):
    model, sample = bert()
    exported = export(model, sample(4, 9), tmp_path / "model.pt2")
    torch.save([sample(7, 5)], tmp_path / "cases.pt")
    words = [sys.executable, "-I", "-c", ALONE, exported.file, tmp_path / "cases.pt", tmp_path / "given.pt"]
    subprocess.run(words, check=True)
    torch.testing.assert_close(
        torch.load(tmp_path / "given.pt")[0], expected(model, sample(7, 5)), rtol=1e-4, atol=1e-4
    )
    assert model.config.output_hidden_states  # only the file is without them


@pytest.mark.parametrize("student", [bert, gpt2, cifar_classifier])
def test_onnxruntime_runs_a_program_on_other_batches_and_lengths(student, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    model, sample = student()
    exported = export(model, sample(4, 9), tmp_path / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(exported.file, providers=["CPUExecutionProvider"])
    named = ["batch", "sequence"] if student in TRANSFORMERS else ["batch"]
    for value in (*session.get_inputs(), *session.get_outputs()):
        assert [size for size in value.shape if isinstance(size, str)] == (
            named if value.name in sample(1, 1) or student is gpt2 else ["batch"]
        )
    for inputs in (sample(1, 1), sample(7, 5)):
        (given,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        torch.testing.assert_close(torch.from_numpy(given), expected(model, inputs), rtol=1e-4, atol=1e-4)


def test_weights_alone_are_read_back(tmp_path):
    model = nn.Linear(2, 3)
    exported = export(model, {}, tmp_path / "model.safetensors", "safetensors")
    assert exported.proof == "2 tensors read back and equal"


class Fixed(nn.Module):
    """Reads the number of samples as a number of Python's."""

    def forward(self, x):
        return x.reshape(4, -1) if len(x) == 4 else x[:2].reshape(2, -1)


class NeedsMore(nn.Module):
    def forward(self, x):
        return [x, "text"]


@pytest.mark.parametrize(
    ("model", "told"), [(Fixed(), "cannot be traced|something else"), (NeedsMore(), "'output1' is a str")]
)
@pytest.mark.parametrize("suffix", ["pt2"])
def test_what_cannot_be_exported_is_refused_and_leaves_no_file(tmp_path, model, told, suffix):
    with pytest.raises(DistillError, match=told):
        export(model, images(4), tmp_path / f"model.{suffix}", suffix)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_gives_something_else_is_refused(tmp_path, monkeypatch):
    from distill_core.export import _export

    def other(plain, first, sizes):
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        return torch.export.export(
            model, (next(iter(first.values())),), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )

    monkeypatch.setattr(_export, "_traced", other)
    with pytest.raises(DistillError, match="file differ from the model's: numbers that differ by"):
        export(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), {"x": torch.randn(4, 4)}, tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(DistillError) as error:
        export(nn.Linear(4, 2), {"x": torch.randn(4, 4)}, tmp_path / "model.onnx", "onnx")
    assert str(error.value) == "--format onnx needs onnxscript\n  hint: pip install 'distill-core[export]'"


@pytest.mark.parametrize("name", ["Bert", "Roberta"])
def test_the_longest_sequence_is_the_longest_that_a_model_accepts(name):
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{name}Config")(vocab_size=30, max_position_embeddings=24, **TEXT)
    model = getattr(transformers, f"{name}Model")(config)
    longest = longest_sequence(model)
    model(input_ids=torch.full((1, longest), 5))
    with pytest.raises((RuntimeError, IndexError)):
        model(input_ids=torch.full((1, longest + 1), 5))
