"""`distill inspect`: the taps of a model and of a pair, measured against the figures that torchvision publishes."""

from __future__ import annotations

import json
import sys

import pytest
import torch

pytest.importorskip("torchvision")
pytest.importorskip("timm")


@pytest.mark.parametrize(("name", "enum"), [("resnet18", "ResNet18_Weights"), ("mobilenet_v2", "MobileNet_V2_Weights")])
def test_parameters_and_operations_are_those_that_torchvision_publishes(name, enum, distill):
    from torchvision import models

    published = getattr(models, enum).IMAGENET1K_V1.meta
    root = json.loads(distill("inspect", f"torchvision.models.{name}", "--json").out)["modules"][0]
    assert root["num_parameters"] == published["num_params"]
    # Published are multiplications with additions, in 10⁹; each counts twice here.
    assert root["flops"] / 2e9 == pytest.approx(published["_ops"], rel=5e-3)


def test_shapes_are_those_of_a_real_forward(distill):
    from torchvision.models import resnet18

    from distill_core.hooks import Capture

    ended = distill(
        "inspect", "torchvision.models.resnet18", "num_classes=7", "--input", "2,3,64,64", "--match", "layer?", "--json"
    )
    found = {module["tap"]: module["shapes"] for module in json.loads(ended.out)["modules"]}
    real = Capture(resnet18(num_classes=7).eval(), list(found)).run(torch.zeros(2, 3, 64, 64))
    assert found == {tap: [list(value.shape)] for tap, value in real.items()}
    assert list(found) == ["layer1", "layer2", "layer3", "layer4"]


def test_the_table_of_a_small_model(distill):
    ended = distill("inspect", "timm.create_model", "model_name=resnet18", "num_classes=10", "--match", "layer[12]")
    assert ended == (
        0,
        "ResNet: 11.2M parameters, 3.63G FLOPs for an input of 1×3×224×224 (the input size of timm's configuration)\n\n"
        "tap     kind        output       parameters  FLOPs\n"
        "layer1  Sequential  1×64×56×56   148k        925M\n"
        "layer2  Sequential  1×128×28×28  526k        822M\n",
        "",
    )


def test_a_module_that_is_called_twice_says_so(distill):
    assert "(2 calls)" in distill("inspect", "torchvision.models.resnet18", "--match", "layer1.0.relu").out


def test_a_detector_is_run_as_far_as_it_needs_no_values(distill):
    name = "torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn"
    out = distill("inspect", name, "weights=null", "weights_backbone=null").out
    assert "1×256×10×10" in out
    assert "modules behind that place have no shapes" in out


def test_a_folder_of_transformers_is_built_from_its_config(distill, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        num_hidden_layers=4, hidden_size=16, num_attention_heads=2, intermediate_size=32, vocab_size=50
    )
    config.architectures = ["BertForSequenceClassification"]
    config.save_pretrained(tmp_path)  # no weights
    out = distill("inspect", tmp_path, "--input", "input_ids=2,7:int64", "--match", "bert.encoder.layer.?").out
    assert out.count("2×7×16") == 4


PAIRS = [
    ("resnet50", "resnet18", {"layer1": "layer1", "layer2": "layer2", "layer3": "layer3", "layer4": "layer4"}),
    ("vit_tiny_patch16_224", "resnet18", {"layer3": "blocks.8", "layer4": "blocks.11"}),
    ("resnet18", "vit_tiny_patch16_224", {"blocks.8": "layer3", "blocks.11": "layer4"}),
    ("swin_tiny_patch4_window7_224", "convnext_atto", {"stages.2": "layers.2"}),
    ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", {"blocks.11": "blocks.11"}),
]


@pytest.mark.parametrize(("teacher", "student", "expected"), PAIRS)
def test_proposed_pairs_fit_a_feature_loss(teacher, student, expected, distill):
    import timm

    from distill_core.adapters import adapt, with_known_layout
    from distill_core.feature import Feature
    from distill_core.hooks import Capture
    from distill_core.losses import FitNetLoss

    pairs = json.loads(distill("inspect", teacher, "--pair", student, "--json").out)
    taps = {pair["student_feature"]["tap"]: pair["teacher_feature"]["tap"] for pair in pairs}
    assert expected.items() <= taps.items()
    models = {"student": timm.create_model(student).eval(), "teacher": timm.create_model(teacher).eval()}
    for pair in pairs:
        values = {}
        for name, model in models.items():
            given = pair[name] if isinstance(pair[name], dict) else {"tap": pair[name]}
            address = given["tap"].removeprefix(f"{name}.")
            values[name] = Capture(model, [address]).run(torch.zeros(1, 3, 224, 224))[address]
            if "as" in given:
                feature = Feature(**{"as_" if key == "as" else key: value for key, value in given.items()})
                values[name] = adapt(values[name], with_known_layout(feature, model))
        assert FitNetLoss()(**values).isfinite()


def test_pairs_are_lines_of_a_file(distill):
    out = distill("inspect", "vit_tiny_patch16_224", "--pair", "resnet18 num_classes=10").out
    assert (
        "# student 512 channels at 7×7, teacher 192 channels at 14×14\n"
        "inputs: {student: student.layer4, teacher: {tap: teacher.blocks.11, as: map, size: [7, 7]}}\n"
    ) in out


REFUSED = [
    (["resnet81"], "there is no model 'resnet81'"),
    (["resnet10tt"], "there is no model 'resnet10tt'\n  hint: did you mean 'resnet10t'?"),
    (["resnet18.nope"], "Invalid pretrained tag (nope) for resnet18"),
    (["nowhere.Model"], "'nowhere.Model' is outside the trusted packages"),
    (["torch.load", "f=x"], "'torch.load' is refused"),
    (["resnet18", "--match", "nope*"], "no tap matches 'nope*'"),
    (["resnet18", "--input", "3x224"], "--input '3x224' is not a shape"),
    (["resnet18", "--input", "[3,224"], "--input '[3,224' is not a shape"),
    (["resnet18", "--input", "1,3,8:wide"], "there is no dtype 'wide'"),
    (["resnet18", "--input", "1,5,224,224"], "does not accept an input of 1×5×224×224"),
    (["resnet18", "--input", "x=1,3,9,9", "--input", "x=1,3,9,9"], "--input x is given twice"),
    (["torch.nn.Identity"], "the inputs of torch.nn.Identity are not known"),
    (["torchvision.transforms.ToTensor"], "must build an nn.Module, got ToTensor"),
    (["resnet18", "num_clases=10"], "unexpected keyword argument 'num_clases'"),
    (["resnet18", "--pair", "resnet18", "--match", "*"], "--match and --pair exclude each other"),
    (["torch.nn.Linear", "in_features=2", "out_features=2", "--pair", "resnet18"], "--input"),
]


TIMM = "give an import path, a folder, or a name of the zoo; names of timm need it: pip install timm"


@pytest.mark.parametrize("name", ["resnet18", "resnet18.a1_in1k", "timm/resnet18.a1_in1k"])
def test_without_timm_its_names_say_how_to_install_it(distill, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert distill("inspect", name).err == f"there is no model '{name}'\n  hint: {TIMM}\n"
    ended = distill("inspect", "timm.create_model", "model_name=resnet18")
    assert ended.err.splitlines()[0].endswith("there is no module 'timm'")
    assert ended.err.splitlines()[-1] == "  hint: pip install timm"


def test_a_name_of_timm_has_no_prefix(distill):
    ended = distill("inspect", "timm/resnet18.a1_in1k")
    assert ended.err.endswith("hint: models of timm are named without a prefix: resnet18.a1_in1k\n")


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_is_wrong_is_one_sentence(arguments, message, distill):
    ended = distill("inspect", *arguments)
    assert ended.code in {2, 3}
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("prefix", ["timm.", "timm/"])
def test_names_of_timm_have_no_prefix(distill, prefix):
    ended = distill("inspect", f"{prefix}resnet18")
    assert ended.code == 2
    assert ended.err == (
        f"there is no model '{prefix}resnet18'\n  hint: models of timm are named without a prefix: resnet18\n"
    )


def test_weights_on_the_meta_device_are_no_warning(distill, tmp_path, recwarn):
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet10t", num_classes=2).state_dict(), tmp_path / "own.safetensors")
    ended = distill("inspect", "resnet10t", "num_classes=2", f"checkpoint_path={tmp_path / 'own.safetensors'}")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert not [warning for warning in recwarn if "non-meta" in str(warning.message)]
