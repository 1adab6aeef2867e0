"""Mixup and CutMix: partners, weights, and equality with torchvision's mixing."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import beta, kstest
from torchvision.transforms import v2

from distill_core.data import SeedPath
from distill_vision.data import digits
from distill_vision.transforms import CutMix, Mixup, OneMix, draw_beta
from distill_vision.transforms._mix import mixed, pasted

SEEDS = torch.randint(0, 2**62, (4000,))
IMAGES, TARGET = torch.rand(12, 3, 9, 7), torch.eye(5)[torch.arange(12) % 5]


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 2.5])
def test_shares_are_drawn_from_the_beta_distribution(alpha):
    drawn = draw_beta(SEEDS, 3, alpha)
    lower = drawn[drawn < 0.5].double().numpy()  # near 1 a float cannot tell them apart
    assert abs(len(lower) - 2000) < 160
    assert kstest(lower, lambda share: 2 * beta(alpha, alpha).cdf(share)).pvalue > 0.001
    some = torch.randperm(len(SEEDS))[:50]
    assert torch.equal(draw_beta(SEEDS[some], 3, alpha), drawn[some])
    assert torch.corrcoef(torch.stack([drawn, draw_beta(SEEDS, 4, alpha)]))[0, 1].abs() < 0.06


def test_mixing_is_torchvisions():
    shares = torch.rand(12)
    images, target = mixed(IMAGES, TARGET, shares)
    theirs = v2.MixUp(num_classes=5)
    for row, share in enumerate(shares.tolist()):
        params = {"labels": TARGET, "batch_size": 12, "lam": share}
        torch.testing.assert_close(images[row], theirs.transform(IMAGES, params)[row])
        torch.testing.assert_close(target[row], theirs.transform(TARGET, params)[row])


def test_pasting_is_torchvisions():
    box = CutMix().boxes(SEEDS[:12], 9, 7)
    assert (box[:2] < box[2:]).all(0).any()
    images, target = pasted(IMAGES, TARGET, box)
    theirs = v2.CutMix(num_classes=5)
    for row, (left, top, right, bottom) in enumerate(box.T.tolist()):
        share = 1 - (right - left) * (bottom - top) / 63
        params = {"labels": TARGET, "batch_size": 12, "box": (left, top, right, bottom), "lam_adjusted": share}
        assert torch.equal(images[row], theirs.transform(IMAGES, params)[row])
        torch.testing.assert_close(target[row], theirs.transform(TARGET, params)[row])


def test_boxes_are_as_large_as_drawn_and_anywhere():
    left, top, right, bottom = CutMix(alpha=1.0).boxes(SEEDS, 32, 48).float()
    inside = (left > 0) & (top > 0) & (right < 48) & (bottom < 32)
    assert inside.sum() > 300
    # An uncut box has the same share of the width and of the height, up to the rounding of each half.
    assert (((right - left) / 48 - (bottom - top) / 32).abs()[inside] < 2 / 32).all()
    uncut = CutMix(alpha=1.0).boxes(SEEDS, 2000, 2000).float()
    area = (uncut[2] - uncut[0]) * (uncut[3] - uncut[1]) / 2000**2
    assert area.max() > 0.8
    assert abs(uncut[[0, 2]].mean() - 1000) < 25


@pytest.mark.parametrize("mix", [Mixup, CutMix])
def test_what_is_not_mixed_stays_as_it_is(mix):
    images, target = torch.rand(4000, 1, 8, 8), torch.eye(10)[torch.arange(4000) % 10]
    out, labels = mix(probability=0.3)(images, target, SEEDS)
    kept = (out == images).flatten(1).all(1)
    assert (labels[kept] == target[kept]).all()
    torch.testing.assert_close(labels.sum(1), torch.ones(4000))
    # A box may have no area, so a few are mixed and stay the same nevertheless.
    assert 0.66 < kept.float().mean() < 0.8
    assert torch.equal(mix(probability=0.0)(images, target, SEEDS)[0], images)


def test_one_mix_draws_for_each_sample():
    def brighter(images, target, seeds):
        return images + 1, target * 0

    def darker(images, target, seeds):
        return images - 1, target * 2

    images, target = torch.zeros(4000, 1, 2, 2), torch.ones(4000, 3)
    out, labels = OneMix([brighter, darker], [3, 1])(images, target, SEEDS)
    bright = out.flatten(1).amax(1) > 0
    assert abs(bright.float().mean() - 0.75) < 0.03
    assert (out.flatten(1).amin(1) == torch.where(bright, 1, -1)).all()
    assert (labels[:, 0] == torch.where(bright, 0, 2)).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Mixup(alpha=0), "`alpha` must be > 0 and `probability` from 0 to 1, got 0 and 1.0"),
        (lambda: CutMix(probability=2), "`alpha` must be > 0 and `probability` from 0 to 1, got 1.0 and 2"),
        (lambda: OneMix([Mixup()], [1, 2]), "`weights` must have one number per mix, got 2 for 1"),
    ],
)
def test_invalid_arguments_are_refused(make, sentence):
    with pytest.raises(ValueError) as raised:
        make()
    assert str(raised.value) == sentence


def test_a_batch_of_a_data_set_is_mixed_with_its_labels():
    seed_path = SeedPath(seed=3, epoch=2)
    loader = digits("train", batch_size=64, mix=OneMix([Mixup(0.4), CutMix()]))
    first, again = (list(loader.batches(seed_path)) for _ in range(2))
    assert all(torch.equal(a["input"], b["input"]) for a, b in zip(first, again, strict=True))
    resumed = next(loader.batches(seed_path, start=3))
    assert torch.equal(resumed["input"], first[3]["input"])
    assert torch.equal(resumed["target"], first[3]["target"])
    assert first[0]["target"].shape == (64, 10)
    torch.testing.assert_close(first[0]["target"].sum(1), torch.ones(64))
    plain = next(digits("train", batch_size=64).batches(seed_path))
    assert not torch.equal(plain["input"], first[0]["input"])
    labels = torch.eye(10)[plain["target"]]
    share = (first[0]["target"] * labels).sum(1)
    torch.testing.assert_close(
        first[0]["target"],
        torch.where(
            (plain["target"] == plain["target"].roll(1))[:, None],
            labels,
            share[:, None] * labels + (1 - share)[:, None] * labels.roll(1, 0),
        ),
    )


def test_the_example_batch_is_like_a_mixed_one():
    options = {"batch_size": 8, "mix": Mixup(), "repeats": 2}
    real, example = next(iter(digits("train", **options))), digits.example_batch("train", **options)
    assert {name: (value.shape, value.dtype) for name, value in example.items()} == {
        name: (value.shape, value.dtype) for name, value in real.items()
    }
    assert torch.equal(real["index"][::2], real["index"][1::2])


@pytest.mark.gpu
@pytest.mark.parametrize("mix", [Mixup(0.4), CutMix(), OneMix([Mixup(), CutMix()])], ids=["mixup", "cutmix", "one"])
def test_mixing_is_the_same_on_a_gpu(mix):
    there = mix(IMAGES.cuda(), TARGET.cuda(), SEEDS[:12].cuda())
    for one, other in zip(there, mix(IMAGES, TARGET, SEEDS[:12]), strict=True):
        torch.testing.assert_close(one.cpu(), other)
