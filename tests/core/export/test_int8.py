"""Int8 files of ONNX Runtime: smaller, close to the model, and measured like it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from distill_core.cli.runs._measure_files import measure_files
from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import Evaluation, Experiment, Metric
from distill_core.export import OnnxModel, export, quantize

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class Scores(NamedTuple):
    logits: Tensor


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 4))

    def forward(self, points):
        return Scores(self.body(points))


class Hits:
    """The number of correct classes, and of samples."""

    def reset(self):
        self.hits = self.count = 0

    def update(self, preds, target):
        self.hits += int((preds.argmax(1) == target).sum())
        self.count += len(target)

    def compute(self):
        return {"hits": float(self.hits), "count": float(self.count)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(0)
    model, inputs = Classifier().eval(), {"points": torch.randn(8, 16)}
    file = tmp_path_factory.mktemp("int8") / "student.onnx"
    export(model, inputs, file, "onnx")
    return model, inputs, file, quantize(file)


def test_the_int8_file_is_smaller_and_close(written):
    model, inputs, file, small = written
    assert small.name == "student.int8.onnx"
    assert small.stat().st_size < 0.4 * file.stat().st_size
    with torch.no_grad():
        expected = model(**inputs).logits
    exact, quantized = OnnxModel(file)(**inputs)["logits"], OnnxModel(small)(**inputs)["logits"]
    torch.testing.assert_close(exact, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(quantized, expected)
    assert float((quantized - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_files_are_measured_by_the_test_of_the_run(written):
    model, inputs, file, small = written
    data = {"input": torch.randn(40, 16), "target": torch.randint(4, (40,))}
    own = {"preds": "student:out.logits", "target": "batch.target"}
    other = {"preds": "teacher:out.logits", "target": "batch.target"}
    metrics = {"own": Metric(metric=Hits(), inputs=own), "other": Metric(metric=Hits(), inputs=other)}
    experiment = Experiment(
        models={"student": model}, test=Evaluation(loader=Loader(TensorData(data), 16), metrics=metrics)
    )
    files = {"float": file, "int8": small}
    models = {"model": model, "float": OnnxModel(file), "int8": OnnxModel(small)}
    costs = {cost.name: cost for cost in measure_files(models, files, inputs, experiment, "student")}
    with torch.no_grad():
        hits = int((model(data["input"]).logits.argmax(1) == data["target"]).sum())
    assert costs["model"].metrics == costs["float"].metrics == {"own.hits": hits, "own.count": 40}
    assert costs["int8"].metrics["own.count"] == 40
    assert [costs[name].num_bytes for name in files] == [path.stat().st_size for path in files.values()]
    assert costs["model"].num_bytes == 4 * sum(parameter.numel() for parameter in model.parameters())
    assert all(cost.seconds > 0 for cost in costs.values())


def test_what_cannot_be_quantized_is_refused(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"")
    with pytest.raises(DistillError, match=r"onnxruntime cannot quantize broken\.onnx: "):
        quantize(tmp_path / "broken.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.onnx"]
