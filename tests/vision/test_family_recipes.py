"""Distillation between families of vision models, as files: each checks, statically and deeply, and runs two batches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from distill_core.cli._load import load_document
from distill_core.cli.inspect._check import check_file
from distill_core.config import Builder
from distill_core.experiment import Experiment
from distill_core.train import Callback, Trainer

pytest.importorskip("timm")

FILE = """\
models:
  teacher: {teacher}
  student: {student}
data:
  train: !import_call:distill_core.data.Loader
    dataset: !import_call:torch.utils.data.TensorDataset
      - !import_call:torch.rand [{images}]
      - !import_call:torch.as_tensor [[0, 1, 2, 1]]
      - !import_call:torch.full [[4, 6], 7]
    fields: [input, target, ids]
    batch_size: 2
stages:
  - epochs: 1
    train: [{train}]
    optimizer: !import_partial:torch.optim.SGD {{lr: 0.01}}
{feed}    losses:
{losses}
log_every: 1
"""
CE = """\
      ce: {loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}
"""
CNN = "!import_call:distill_vision.models.convnet {width: 8, num_classes: 3, in_channels: 3}"
VIT = "!import_call:torchvision.models.VisionTransformer {image_size: 64, patch_size: 8, num_layers: 2, num_heads: 2, hidden_dim: 16, mlp_dim: 32, num_classes: 3}"
SWIN = "!import_call:torchvision.models.SwinTransformer {patch_size: [4, 4], embed_dim: 16, depths: [1, 1], num_heads: [1, 2], window_size: [4, 4], num_classes: 3}"
CONVNEXT = "!import_call:timm.models.convnext.ConvNeXt {depths: [1, 1, 1, 1], dims: [8, 8, 16, 16], num_classes: 3}"
DINO = "!import_call:timm.models.vision_transformer.VisionTransformer {img_size: 64, patch_size: 8, embed_dim: 16, depth: 2, num_heads: 2, num_classes: 0, reg_tokens: 4}"
SMALL_VIT = "!import_call:timm.models.vision_transformer.VisionTransformer {img_size: 64, patch_size: 8, embed_dim: 12, depth: 1, num_heads: 2, num_classes: 3}"
DEIT = "!import_call:timm.models.deit.VisionTransformerDistilled {img_size: 64, patch_size: 8, embed_dim: 12, depth: 1, num_heads: 2, num_classes: 3}"
R3D = "!import_call:torchvision.models.video.r3d_18 {weights: null, num_classes: 3}"
SMALL_R3D = """!import_call:torchvision.models.video.resnet.VideoResNet
    block: !import_get:torchvision.models.video.resnet.BasicBlock
    conv_makers: [&conv !import_get:torchvision.models.video.resnet.Conv3DSimple , *conv, *conv, *conv]
    layers: [1, 1, 1, 1]
    stem: !import_get:torchvision.models.video.resnet.BasicStem
    num_classes: 3"""
TOWERS = """!import_call:transformers.CLIPModel
    - !import_call:transformers.CLIPConfig
      text_config: &text{layers} {{hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, num_hidden_layers: {layers}, vocab_size: 50, max_position_embeddings: 8, eos_token_id: 7, bos_token_id: 1, pad_token_id: 0}}
      vision_config: {{hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, num_hidden_layers: {layers}, image_size: 64, patch_size: 16}}
      projection_dim: 16"""
CLIP_FEED = """\
    feed:
      student: {pixel_values: batch.input, input_ids: batch.ids}
      teacher: {pixel_values: batch.input, input_ids: batch.ids}
"""
FITNET = "!import_call:distill_core.losses.FitNetLoss {}"


def feature(student: str, teacher: str, loss: str = FITNET) -> str:
    return f"{CE}      feature:\n        loss: {loss}\n        inputs: {{student: {student}, teacher: {teacher}}}\n"


RECIPES: dict[str, dict[str, str]] = {
    "ViT to CNN": {
        "teacher": VIT,
        "student": CNN,
        "losses": feature(
            "{tap: student.layer3, as: map, size: [8, 8]}",
            "{tap: teacher.encoder.layers.encoder_layer_1, as: map}",
        ),
    },
    "CNN to ViT": {
        "teacher": CNN,
        "student": VIT,
        "losses": feature(
            "{tap: student.encoder.layers.encoder_layer_1, as: tokens}",
            "{tap: teacher.layer3, as: tokens, size: [8, 8]}",
        ),
    },
    "Swin to ConvNeXt": {
        "teacher": SWIN,
        "student": CONVNEXT,
        "losses": feature("student.stages.0", "{tap: teacher.features.1, as: map}"),
    },
    "a foundation model to a small ViT by PHI-S": {
        "teacher": DINO,
        "student": SMALL_VIT,
        "losses": feature(
            "{tap: student.blocks.0, as: map}",
            "{tap: teacher.norm, as: map}",
            "!import_call:distill_core.losses.PHISLoss {features: !import_call:torch.randn [64, 16]}",
        ),
    },
    "DeiT": {
        "teacher": CNN,
        "student": DEIT,
        "train": "student",
        "losses": """\
      deit:
        loss: !import_call:distill_core.losses.DeiTLoss {}
        inputs: {student: [student.head, student.head_dist], teacher: teacher, target: batch.target}
""",
    },
    "CLIP": {
        "teacher": TOWERS.format(layers=2),
        "student": TOWERS.format(layers=1),
        "feed": CLIP_FEED,
        "losses": """\
      clip:
        loss: !import_call:distill_core.losses.CLIPKDLoss {}
        inputs:
          student: ["student:out.image_embeds", "student:out.text_embeds"]
          teacher: ["teacher:out.image_embeds", "teacher:out.text_embeds"]
""",
    },
    "a video network to a smaller one": {
        "teacher": R3D,
        "student": SMALL_R3D,
        "images": "4, 3, 4, 32, 32",
        "losses": feature("student.layer2", "teacher.layer2"),
    },
}


DEFAULTS = {"images": "4, 3, 64, 64", "feed": "", "train": "student, losses"}


class Terms(Callback):
    """Keeps the values of the terms of each batch."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []

    def on_log(self, trainer, record) -> None:
        if record["split"] == "train":
            self.values.append(record["losses"])


@pytest.mark.parametrize("name", RECIPES)
def test_two_batches_of_a_recipe(name, tmp_path: Path, capsys):
    if name == "CLIP":
        pytest.importorskip("transformers")
    file = tmp_path / "recipe.yaml"
    file.write_text(FILE.format(**{**DEFAULTS, **RECIPES[name]}))
    check_file(file, deep=True)
    assert "no problems" in capsys.readouterr().out
    torch.manual_seed(0)
    document = load_document(file)
    experiment = Builder(document).decode(document.root, Experiment)
    student, terms = experiment.models["student"], Terms()
    before = {key: value.clone() for key, value in student.named_parameters()}
    Trainer(experiment, callbacks=[terms]).fit()
    assert len(terms.values) == 2
    assert all(math.isfinite(value) and value > 0 for batch in terms.values for value in batch.values())
    assert any(not torch.equal(value, before[key]) for key, value in student.named_parameters())
