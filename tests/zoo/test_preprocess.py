from __future__ import annotations

import pytest
import torch

import distill_zoo
from distill_zoo import Input, Preprocess, ZooError

GREY = Input(size=(8, 8), channels=1, mean=(0.5,), std=(0.25,), scale=16.0)


def test_integer_pixels_are_divided_by_the_scale():
    image = torch.full((1, 8, 8), 12, dtype=torch.uint8)
    assert torch.equal(Preprocess(GREY)(image), torch.ones(1, 8, 8))


def test_floating_point_pixels_are_not_scaled():
    assert torch.equal(Preprocess(GREY)(torch.full((5, 1, 8, 8), 0.75)), torch.ones(5, 1, 8, 8))


def test_the_centre_is_cropped():
    image = torch.zeros(1, 12, 10)
    image[:, 2:10, 1:9] = 0.75
    assert torch.equal(Preprocess(GREY)(image), torch.ones(1, 8, 8))


def test_a_wrong_number_of_channels_is_refused():
    with pytest.raises(ZooError) as caught:
        Preprocess(GREY)(torch.zeros(3, 8, 8))
    assert str(caught.value) == "the image must have 1 channels, got 3"


def test_an_image_smaller_than_the_crop_is_refused():
    with pytest.raises(ZooError) as caught:
        Preprocess(GREY)(torch.zeros(1, 8, 7))
    assert str(caught.value) == "the image must have at least 8×8 pixels, got 8×7"


@pytest.mark.parametrize("name", ["torchvision/resnet50.v2", "torchvision/vit_b_16", "torchvision/efficientnet_b0"])
@pytest.mark.parametrize("size", [(300, 400), (500, 260)])
def test_the_result_equals_torchvision(name, size):
    models = pytest.importorskip("torchvision.models")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    weights = {
        "torchvision/resnet50.v2": "ResNet50_Weights.IMAGENET1K_V2",
        "torchvision/vit_b_16": "ViT_B_16_Weights.IMAGENET1K_V1",
        "torchvision/efficientnet_b0": "EfficientNet_B0_Weights.IMAGENET1K_V1",
    }
    theirs = models.get_weight(weights[name]).transforms()
    pixels = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    image = functional.to_pil_image(pixels)
    assert torch.allclose(distill_zoo.transforms(name)(image), theirs(image), atol=1e-6)
    assert torch.allclose(distill_zoo.transforms(name)(pixels / 255), theirs(pixels / 255), atol=1e-5)


def test_a_pil_image_is_converted_to_greyscale(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.new("RGB", (8, 8), (255, 255, 255))
    grey = Input(size=(8, 8), channels=1, mean=(0.5,), std=(0.5,))
    assert torch.equal(Preprocess(grey)(image), torch.ones(1, 8, 8))


def test_a_text_model_has_no_transforms():
    with pytest.raises(ZooError) as caught:
        distill_zoo.transforms("glue/bert_base_uncased_cola.ce")
    assert str(caught.value) == (
        "glue/bert_base_uncased_cola.ce: the card describes no image input\n"
        "  hint: use transformers.AutoTokenizer.from_pretrained('yoshitomo-matsubara/bert-base-uncased-cola') if it takes text"
    )
