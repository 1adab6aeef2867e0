"""Features converted before a loss gets them: written in a file, and completed from models of timm and torchvision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from distill_core.config import Builder, check, read
from distill_core.errors import WiringError
from distill_core.experiment import Experiment, Term
from distill_core.feature import Feature
from distill_core.losses import FitNetLoss
from distill_core.train import Distiller
from distill_core.wiring import Wiring

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def _swin_of_timm() -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.models.swin_transformer.SwinTransformer(
        img_size=64, embed_dim=16, depths=(1, 1), num_heads=(1, 2), window_size=4, num_classes=3
    ).eval()


def _mambaout_of_timm() -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.models.mambaout.MambaOut(depths=(1, 1), dims=(16, 32), num_classes=3).eval()


def _vit_of_timm(**arguments) -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.models.vision_transformer.VisionTransformer(
        img_size=64, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=3, **arguments
    ).eval()


def _swin_of_torchvision() -> nn.Module:
    from torchvision.models import SwinTransformer

    return SwinTransformer([4, 4], 16, [1, 1], [1, 2], [4, 4], num_classes=3).eval()


def _vit_of_torchvision() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(64, 8, 2, 2, 16, 32, num_classes=3).eval()


def _completed(model: nn.Module, path: str, **arguments) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the raw output of a module and that in the wanted layout."""
    outputs: list[torch.Tensor] = []
    handle = model.get_submodule(path).register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad():
        model(IMAGES)
    handle.remove()
    raw = outputs[0]
    wiring = Wiring({"x": Feature(f"m.{path}", **arguments)}, "losses.a")
    wiring.complete_features({"m": model})
    return raw, wiring.adapted({"x": raw})["x"]


@pytest.mark.parametrize(
    ("make", "path"),
    [(_swin_of_timm, "layers.1"), (_mambaout_of_timm, "stages.1"), (_swin_of_torchvision, "features.1")],
)
def test_channels_last_families_are_known(make, path):
    raw, found = _completed(make(), path, as_="map")
    assert raw.shape[1] == raw.shape[2]
    assert found.equal(raw.permute(0, 3, 1, 2))


def test_a_family_inside_another_model_is_found():
    raw, found = _completed(nn.Sequential(_swin_of_timm()), "0.layers.0", as_="map")
    assert found.equal(raw.permute(0, 3, 1, 2))


def test_timm_agrees_on_the_map_of_a_swin():
    model = _swin_of_timm()
    with torch.no_grad():
        expected = model.forward_intermediates(IMAGES, indices=[1], output_fmt="NCHW", intermediates_only=True)[0]
    assert _completed(model, "layers.1", as_="map")[1].equal(expected)


@pytest.mark.parametrize("registers", [0, 4])
def test_timm_agrees_on_the_map_of_a_vit(registers):
    model = _vit_of_timm(reg_tokens=registers)
    with torch.no_grad():
        expected = model.forward_intermediates(IMAGES, indices=[1], output_fmt="NCHW", intermediates_only=True)[0]
    raw, found = _completed(model, "blocks.1", as_="map")
    assert raw.shape[1] == 65 + registers
    assert found.equal(expected)
    assert _completed(model, "blocks.1", as_="tokens")[1].equal(raw[:, 1 + registers :])
    torch.testing.assert_close(_completed(model, "blocks.1", as_="vector")[1], expected.mean((2, 3)))
    assert _completed(model, "patch_embed", as_="map")[1].shape == (2, 16, 8, 8)


def test_the_class_token_of_torchvision_is_removed():
    raw, found = _completed(_vit_of_torchvision(), "encoder.layers.encoder_layer_1", as_="map")
    assert found.flatten(2).mT.equal(raw[:, 1:])


def test_a_map_is_resized_and_flattened():
    from torchvision.models import resnet18

    raw, found = _completed(resnet18().eval(), "layer1", as_="tokens", size=[4, 4])
    torch.testing.assert_close(found.mT.unflatten(2, (4, 4)), raw.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2)))


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((2, 7, 7, 9), {}, "may be 7×9 pixels channels-first or 7×7 pixels channels-last"),
        ((2, 8, 5, 7), {}, "may be 5×7 pixels channels-first or 8×5 pixels channels-last"),
        ((2, 49, 9), {"layout": "nhwc"}, "has 4 dimensions, got 3"),
        ((2, 9), {}, "a map has 4 dimensions"),
        ((2, 5, 3), {}, "after 1 or 4 prefix tokens"),
    ],
)
def test_what_fits_two_layouts_or_none_is_refused(shape, arguments, message):
    wiring = Wiring({"x": Feature("m.a", as_="map", **arguments)}, "losses.a")
    with pytest.raises(WiringError, match=message) as error:
        wiring.adapted({"x": torch.zeros(shape)})
    assert error.value.key == "losses.a.inputs.x"


def test_words_that_do_not_exist_are_refused():
    with pytest.raises(WiringError, match=r"`layout` of .m\.a. must be one of nchw, nhwc, tokens"):
        Feature("m.a", as_="map", layout="nwhc")  # type: ignore[arg-type]
    with pytest.raises(WiringError, match="must be two numbers"):
        Feature("m.a", as_="map", size=[7])


def test_a_distiller_of_swin_and_convolutions_learns_from_maps():
    student = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4))
    inputs = {"student": "student.0", "teacher": Feature("teacher.layers.0", as_="map")}
    loss = FitNetLoss(8, 16)
    distiller = Distiller({"teacher": _swin_of_timm(), "student": student}, {"hint": Term(loss=loss, inputs=inputs)})
    distiller.attach()
    total, _ = distiller({"input": IMAGES}, {"hint": 1.0})
    total[0].backward()
    teacher = distiller.sources[0].model
    with torch.no_grad():
        goal = teacher.layers[0](teacher.patch_embed(IMAGES)).permute(0, 3, 1, 2)
        expected = (loss.regressor(student(IMAGES), like=goal) - goal).square().mean()
    torch.testing.assert_close(total[0].detach(), expected)


FILE = """
models:
  teacher: !import_call:torch.nn.Linear {in_features: 4, out_features: 2}
  student: !import_call:torch.nn.Linear {in_features: 4, out_features: 2}
data: {train: [1]}
stages:
  - epochs: 3
    losses:
      hint:
        loss: !import_call:FitNetLoss {}
        inputs:
          student: {tap: student, as: map, layout: nhwc, size: [7, 7]}
          teacher: [teacher, {tap: TEACHER, as: WORD}]
"""


def _file(folder: Path, tap: str = "teacher", word: str = "tokens"):
    (folder / "run.yaml").write_text(FILE.replace("TEACHER", tap).replace("WORD", word), encoding="utf-8")
    return read(str(folder / "run.yaml"), ())


def test_a_file_states_layouts(tmp_path):
    document = _file(tmp_path)
    inputs = Builder(document).decode(document.root, Experiment).stages[0].losses["hint"].inputs
    assert inputs["student"] == Feature("student", as_="map", layout="nhwc", size=[7, 7])
    assert inputs["teacher"] == ["teacher", Feature("teacher", as_="tokens")]


@pytest.mark.parametrize(
    ("tap", "word", "expected"), [("techer", "map", "tap-unknown-model"), ("teacher", "mapp", "wrong-type")]
)
def test_a_file_with_a_misspelt_feature_is_refused_at_its_line(tmp_path, tap, word, expected):
    problems = check(_file(tmp_path, tap, word), Experiment, {}, ())
    assert [(problem.id, problem.location.line) for problem in problems] == [(expected, 13)]
