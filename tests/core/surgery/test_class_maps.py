"""The classifier before the pooling, and back."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distill_core.data import Loader, TensorData
from distill_core.errors import WiringError
from distill_core.hooks import Capture
from distill_core.losses import CATKDLoss
from distill_core.surgery import with_class_maps, without_class_maps
from distill_core.train import Callback, Experiment, Stage, Term, Trainer
from distill_core.weights import load_weights, save_weights


class Net(nn.Module):
    def __init__(self, *, bias: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(6, 4, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.features(images)).flatten(1))


@pytest.mark.parametrize("bias", [True, False])
def test_logits_and_gradients_stay_what_they_are(bias: bool):
    model, images = Net(bias=bias).double(), torch.randn(4, 1, 6, 6, dtype=torch.float64)
    converted = with_class_maps(copy.deepcopy(model))
    assert converted.avgpool.maps.weight.dtype == torch.float64
    torch.testing.assert_close(converted(images), model(images))
    model(images).square().sum().backward()
    converted(images).square().sum().backward()
    torch.testing.assert_close(converted.features[0].weight.grad, model.features[0].weight.grad)
    torch.testing.assert_close(converted.avgpool.maps.weight.grad[:, :, 0, 0], model.fc.weight.grad)


def test_maps_are_what_the_classifier_says_of_each_position():
    model, images = Net().eval(), torch.randn(2, 1, 6, 6)
    features = model.features(images)
    expected = model.fc(features.movedim(1, -1)).movedim(-1, 1)
    with Capture(with_class_maps(model), ["avgpool.maps"]) as taps:
        model(images)
    torch.testing.assert_close(taps["avgpool.maps"], expected)


def test_the_way_back_keeps_what_was_learned():
    model, images = with_class_maps(Net()), torch.randn(4, 1, 6, 6)
    nn.init.normal_(model.avgpool.maps.weight)
    logits, names = model.eval()(images), list(Net().state_dict())
    restored = without_class_maps(model)
    assert list(restored.state_dict()) == names
    assert isinstance(restored.fc, nn.Linear)
    assert isinstance(restored.avgpool, nn.AdaptiveAvgPool2d)
    torch.testing.assert_close(restored(images), logits)
    assert not restored.avgpool.training


@pytest.mark.parametrize("bias", [True, False])
def test_in_files_it_is_the_plain_model(tmp_path: Path, bias: bool):
    """Also inside another model, as an average, and after the way back."""
    images = torch.randn(4, 1, 6, 6)
    model = with_class_maps(Net(bias=bias)).eval()
    nn.init.normal_(model.avgpool.maps.weight)
    save_weights(model, tmp_path / "student.safetensors")
    plain, other = Net(bias=bias), with_class_maps(Net(bias=bias))
    assert {name: x.shape for name, x in model.state_dict().items()} == {
        name: x.shape for name, x in plain.state_dict().items()
    }
    for loaded in (plain, other, copy.deepcopy(other), without_class_maps(copy.deepcopy(other))):
        load_weights(loaded, tmp_path / "student.safetensors")
        torch.testing.assert_close(loaded.eval()(images), model(images))
    assert other.avgpool.maps.weight.shape == (4, 6, 1, 1)
    outer, plainer = nn.Sequential(model), nn.Sequential(Net(bias=bias))
    plainer.load_state_dict(outer.state_dict())
    torch.testing.assert_close(plainer.eval()(images), model(images))
    nn.Sequential(other).load_state_dict(plainer.state_dict())
    assert torch.equal(other.eval()(images), model(images))


def test_an_unknown_tensor_is_still_refused():
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict: \"fc.scale\""):
        with_class_maps(Net()).load_state_dict({**Net().state_dict(), "fc.scale": torch.ones(1)})


def test_what_a_run_writes_loads_into_the_plain_model(tmp_path: Path):
    def experiment() -> Experiment:
        torch.manual_seed(0)
        data = TensorData({"input": torch.randn(8, 1, 6, 6), "target": torch.arange(8) % 4})
        ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
        cat = Term(loss=CATKDLoss(), inputs={"student": "student.avgpool.maps", "teacher": "teacher.avgpool.maps"})
        stage = Stage(epochs=2, losses={"ce": ce, "cat": cat}, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9))
        models = {"teacher": with_class_maps(Net()), "student": with_class_maps(Net())}
        return Experiment(models=models, data={"train": Loader(data, 4)}, stages=[stage], ema={"student": 0.5})

    class Stop(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.state.step == 3:
                trainer.save()
                raise KeyboardInterrupt

    whole = experiment()
    Trainer(whole, output=tmp_path / "whole").fit()
    student = whole.models["student"].eval()
    plain, images = load_weights(Net(), tmp_path / "whole/student.safetensors").eval(), torch.randn(4, 1, 6, 6)
    torch.testing.assert_close(plain(images), student(images))
    load_weights(Net(), tmp_path / "whole/student_ema.safetensors")
    with pytest.raises(KeyboardInterrupt):
        Trainer(experiment(), output=tmp_path / "cut", callbacks=[Stop()]).fit()
    Trainer(experiment(), output=tmp_path / "cut").fit(resume=True)
    files = [tmp_path / folder / "student.safetensors" for folder in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_frozen_model_stays_frozen():
    model = Net().requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in with_class_maps(model).parameters())
    assert not any(parameter.requires_grad for parameter in without_class_maps(model).parameters())


def test_what_is_not_a_global_pooling_is_refused():
    model = Net()
    model.avgpool = nn.AdaptiveAvgPool2d(2)
    with pytest.raises(WiringError) as error:
        with_class_maps(model)
    expected = "Net.avgpool must be an AdaptiveAvgPool2d to one position, got AdaptiveAvgPool2d(output_size=2)"
    assert str(error.value) == expected


def test_what_is_not_a_linear_classifier_is_refused():
    with pytest.raises(WiringError) as error:
        with_class_maps(Net(), head="features.2")
    assert str(error.value) == "Net.features.2 must be a Linear, got ReLU"


def test_an_unconverted_model_is_refused_and_so_is_an_unknown_module():
    with pytest.raises(WiringError) as error:
        without_class_maps(Net())
    assert str(error.value) == "Net.avgpool has no class activation maps\n  hint: with_class_maps makes them"
    with pytest.raises(WiringError, match="has no module 'pool'"):
        with_class_maps(Net(), pool="pool")
