"""Every loss has a golden file, or equals an expression of torch; every golden file belongs to a loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import distill_nlp.losses
from distill_core import losses
from distill_core.cli.inspect._methods import methods
from distill_core.layers import Paraphraser
from distill_nlp.losses import MiniLMLoss, MiniLMv2Loss, ScoreLoss, SentenceEmbeddingLoss, SimilarityLoss

from ...nlp.losses import test_golden as text_models
from . import test_golden
from .golden_torchdistill import TABLE as TORCHDISTILL

OTHER_NAMES = {
    "cirkd": "CIRKDLoss",
    "distilbert": "HiddenCosineLoss",
    "gkd": "GeneralisedJSDLoss",
    "js_distillm": "GeneralisedJSDLoss",
    "lskd": "StandardisedLogits",
    "ofa_heads": "OFALoss",
    "ofa": "OFALogitsLoss",
    "patient": "PatientKDLoss",
    "skewed_forward_kl": "SkewedKLLoss",
    "structured_pair": "PairwiseLoss",
    "structured_pixel": "PixelwiseLoss",
    "tinybert": "TinyBERTAttentionLoss",
}
"""Losses of golden files, by the beginning of the file's name, where it is not the loss's own."""


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


S, T = draw(4, 6), draw(4, 6)
MAPS, OTHER_MAPS = draw(4, 3, 5, 5), draw(4, 3, 5, 5)
TOKENS, OTHER_TOKENS = draw(4, 5, 6), draw(4, 5, 6)
TARGET, INDEX = torch.tensor([0, 5, 2, 2]), torch.tensor([[0, 3], [1, 1], [5, 2], [4, 0]])
LABELS = INDEX[:, [0, 1, 0, 1, 0]]
PARAPHRASER, FITNET = Paraphraser(3, 0.5).double(), losses.FitNetLoss(3, 3).double()


def kl(student: Tensor, *teachers: Tensor, temperature: float = 1.0) -> Tensor:
    """Return torch's divergence to the mean of the teachers, times τ²."""
    target = torch.stack([F.softmax(teacher / temperature, dim=1) for teacher in teachers]).mean(0)
    return temperature**2 * F.kl_div(F.log_softmax(student / temperature, dim=1), target, reduction="batchmean")


def relations_of_values() -> Tensor:
    """Return the second term of MiniLM: its first one is 0 for equal queries and keys."""
    return MiniLMLoss(2)([TOKENS, TOKENS, TOKENS], [TOKENS, TOKENS, OTHER_TOKENS])


WITHOUT: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
    "AdaptedLoss": (lambda: losses.AdaptedLoss(nn.MSELoss())(S, T), lambda: F.mse_loss(S, T)),
    "DMLLoss": (lambda: losses.DMLLoss()([S, T]), lambda: kl(S, T) + kl(T, S)),
    "FactorAutoencoderLoss": (
        lambda: losses.FactorAutoencoderLoss(PARAPHRASER)(MAPS),
        lambda: F.mse_loss(PARAPHRASER(MAPS), MAPS),
    ),
    "FitNetLoss": (
        lambda: FITNET(MAPS, OTHER_MAPS),
        lambda: F.mse_loss(F.conv2d(MAPS, FITNET.regressor.weight[..., None, None], FITNET.regressor.bias), OTHER_MAPS),
    ),
    "GHNDLoss": (
        lambda: losses.GHNDLoss()([S, MAPS], [T, OTHER_MAPS]),
        lambda: (F.mse_loss(S, T, reduction="sum") + F.mse_loss(MAPS, OTHER_MAPS, reduction="sum")) / 4,
    ),
    "HNDLoss": (
        lambda: losses.HNDLoss()(MAPS, OTHER_MAPS),
        lambda: F.mse_loss(MAPS, OTHER_MAPS, reduction="sum") / 4,
    ),
    "KDLSLoss": (
        lambda: losses.KDLSLoss(0.2, 0.7, 3.0)(S, T, TARGET),
        lambda: 0.3 * F.cross_entropy(S, TARGET, label_smoothing=0.2) + 0.7 * kl(S, T, temperature=3.0),
    ),
    "L2Loss": (lambda: losses.L2Loss()(S, T), lambda: F.mse_loss(S, T)),
    "MiniLMv2Loss": (
        lambda: MiniLMv2Loss(2, (0, 0, 1))([TOKENS] * 3, [TOKENS, TOKENS, OTHER_TOKENS]),
        relations_of_values,
    ),
    "MultiTeacherKDLoss": (
        lambda: losses.MultiTeacherKDLoss(3.0)(S, [T, -T]),
        lambda: kl(S, T, -T, temperature=3.0),
    ),
    "ReportedLoss": (lambda: losses.ReportedLoss()({"box": S.mean(), "class": T.mean()}), lambda: S.mean() + T.mean()),
    "RSKDLoss": (
        lambda: losses.RSKDLoss()(S, torch.full((4, 2), 0.5), INDEX),
        lambda: F.nll_loss(F.log_softmax(S, dim=1).repeat_interleave(2, 0), INDEX.flatten()),
    ),
    "ScoreLoss": (lambda: ScoreLoss()(S[:, :1], T[:, 0]), lambda: F.mse_loss(S[:, 0], T[:, 0])),
    "SentenceEmbeddingLoss": (
        lambda: SentenceEmbeddingLoss()(TOKENS, OTHER_TOKENS),
        lambda: F.mse_loss(TOKENS.mean(1), OTHER_TOKENS.mean(1)),
    ),
    "SimilarityLoss": (
        lambda: SimilarityLoss(5.0)(TOKENS, TARGET[:2].double()),
        lambda: F.mse_loss(F.cosine_similarity(TOKENS.mean(1)[::2], TOKENS.mean(1)[1::2]), TARGET[:2] / 5.0),
    ),
    "TokenCELoss": (
        lambda: losses.TokenCELoss()(TOKENS, LABELS),
        lambda: F.cross_entropy(TOKENS.flatten(0, 1), LABELS.flatten()),
    ),
}
"""Losses without a golden file: ours, and the same by torch's functions (MiniLMv2's: by MiniLM, which has a file)."""


def names() -> set[str]:
    """Return all public losses."""
    texts = {name for name in vars(distill_nlp.losses) if name.endswith("Loss")}
    return {method.name for method in methods()} | texts


def by_start(stem: str, known: dict[str, str]) -> str | None:
    """Return the loss whose name is the longest beginning of a golden file's name."""
    starts = list(accumulate(stem.split("_"), lambda start, word: f"{start}_{word}"))
    found = [known[key] for start in starts for key in (start, start.replace("_", "")) if key in known]
    return found[-1] if found else None


def golden_files() -> Iterable[Path]:
    yield from sorted(test_golden.FOLDER.glob("*.json"))
    yield from sorted(Path(text_models.__file__).with_name("golden").glob("*.json"))


def losses_of_files() -> dict[str, str | None]:
    """Return the loss of each golden file."""
    known = {name.removesuffix("Loss").lower(): name for name in names()} | OTHER_NAMES
    return {file.stem: by_start(file.stem, known) for file in golden_files()}


def compared_with_torchdistill() -> set[str]:
    return {name for row in TORCHDISTILL.values() for name in re.findall(r"\w+Loss\b", row.ours)}


def test_every_golden_file_belongs_to_a_loss_and_is_compared():
    files = losses_of_files()
    assert [stem for stem, loss in files.items() if loss not in names()] == []
    assert files.keys() == {*test_golden.CALLS, *text_models.CALLS}
    assert {by_start(stem, OTHER_NAMES) for stem in files} - {None} == set(OTHER_NAMES.values())


def test_every_loss_has_a_golden_file_or_is_one_of_torchs():
    assert names() - {*losses_of_files().values()} - compared_with_torchdistill() == WITHOUT.keys()


@pytest.mark.parametrize("name", WITHOUT)
def test_a_loss_without_a_golden_file_is_one_of_torchs(name: str):
    ours, theirs = WITHOUT[name]
    torch.testing.assert_close(ours(), theirs(), rtol=1e-9, atol=1e-12, check_dtype=False)
