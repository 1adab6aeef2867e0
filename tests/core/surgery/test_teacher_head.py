"""The student that predicts with the teacher's classifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distill_core.errors import WiringError
from distill_core.hooks import Capture
from distill_core.losses import SimKDLoss
from distill_core.surgery import FeatureProjector, with_teacher_head
from distill_core.weights import load_weights, save_weights


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.features(images)).flatten(1))


@pytest.fixture
def student() -> nn.Module:
    return with_teacher_head(Net(3), Net(8))


def test_predicts_with_the_teacher_s_classifier():
    teacher, images = Net(8), torch.randn(2, 1, 6, 6)
    student = with_teacher_head(Net(3), teacher).eval()
    projected = student.avgpool.projector(student.features(images))
    assert projected.shape == (2, 8, 4, 4)
    torch.testing.assert_close(student(images), teacher.fc(projected.mean((2, 3))))


def test_the_classifier_is_constant_and_the_rest_learns(student: nn.Module):
    images = torch.randn(4, 1, 6, 6)
    student(images).square().sum().backward()
    assert {name.split(".")[0] for name, _ in student.named_parameters()} == {"features", "avgpool"}
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_the_loss_alone_trains_it():
    torch.manual_seed(0)
    teacher, images = Net(8).eval(), torch.randn(16, 1, 6, 6)
    student = with_teacher_head(Net(3), teacher)
    optimizer, values = torch.optim.Adam(student.parameters(), lr=0.01), []
    with torch.no_grad():
        feature = teacher.features(images)
    for _ in range(60):
        with Capture(student, ["avgpool.projector"]) as taps:
            student(images)
        value = SimKDLoss()(taps["avgpool.projector"], feature)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_is_saved_and_loaded_as_any_model(student: nn.Module, tmp_path: Path):
    save_weights(student, tmp_path / "student.safetensors")
    other = load_weights(with_teacher_head(Net(3), Net(8)), tmp_path / "student.safetensors")
    images = torch.randn(2, 1, 6, 6)
    assert torch.equal(other.eval()(images), student.eval()(images))


def test_a_larger_factor_is_a_smaller_projector():
    sizes = [sum(p.numel() for p in FeatureProjector(3, 16, factor).parameters()) for factor in (1, 2, 8, 100)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_a_larger_map_is_averaged_before_the_projector():
    student, images = with_teacher_head(Net(3), Net(8), size=2).eval(), torch.randn(2, 1, 6, 6)
    pooled = torch.nn.functional.avg_pool2d(student.features(images), 2)
    projector = student.avgpool.projector
    torch.testing.assert_close(projector(student.features(images)), projector(pooled))
    torch.testing.assert_close(student(images), student.fc(projector(pooled).mean((2, 3))))


@pytest.mark.parametrize(("height", "width", "expected"), [(4, 4, (3, 3)), (2, 2, (2, 2)), (2, 5, (2, 3))])
def test_only_a_larger_map_is_averaged(height: int, width: int, expected: tuple[int, int]):
    assert FeatureProjector(3, 8, size=3)(torch.randn(2, 3, height, width)).shape[2:] == expected


def test_a_teacher_s_head_elsewhere_is_named():
    teacher = Net(8)
    teacher.classifier, teacher.fc = teacher.fc, None
    student = with_teacher_head(Net(3), teacher, teacher_head="classifier")
    assert torch.equal(student.fc.module.weight, teacher.classifier.weight)


def test_what_is_not_a_linear_classifier_is_refused():
    with pytest.raises(WiringError) as error:
        with_teacher_head(Net(3), Net(8), teacher_head="features.0")
    assert str(error.value) == "Net.features.0 must be a Linear, got Conv2d"
