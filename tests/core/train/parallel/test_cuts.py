"""The update and the logged loss do not depend on how samples are cut into batches, and over processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import distill_nlp.losses
from distill_core.errors import TrainingError, WiringError
from distill_core.experiment import Stage, Term
from distill_core.losses import CRDLoss, KDLoss, KRLoss, ReportedLoss, RKDLoss, TokenCELoss
from distill_core.train.step._normaliser import normaliser
from distill_core.train.step._torch_counts import torch_unit
from distill_core.train.step._uncounted import cut_notes, padding_notes, refuse_uncounted
from distill_nlp.losses import HiddenCosineLoss

from .cuts import CUTS, SAMPLES, Cut, difference, every, relates, update_of

ALL = every()
CAN_BE_CUT = [cut for cut in ALL if not relates(cut)]
BOTH = {"student": "student", "teacher": "teacher"}


@pytest.mark.parametrize("cut", CAN_BE_CUT, ids=lambda cut: cut.name)
def test_accumulated_batches_are_one_batch(cut: Cut):
    whole = update_of(cut, (SAMPLES,))
    assert max(difference(update_of(cut, sizes), whole) for sizes in CUTS) < 1e-6


def test_every_loss_of_texts_is_among_them():
    names = {cut.name.partition("-")[0] for cut in CAN_BE_CUT}
    assert [name for name in vars(distill_nlp.losses) if name.endswith("Loss") and name not in names] == []


def test_what_compares_samples_depends_on_the_cut():
    """So the test above can fail, and nothing is declared to depend on the batch without need."""
    related = [cut for cut in ALL if relates(cut)]
    parts = (3, 3, 2)
    same = [cut.name for cut in related if difference(update_of(cut, parts), update_of(cut, (SAMPLES,))) < 1e-6]
    assert len(related) > 30
    assert same == []


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """What each of two processes found, for all losses in one launch."""
    output = tmp_path_factory.mktemp("cuts") / "found"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [*launch, "-m", "core.train.parallel.cuts", str(output)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(Path(f"{output}.{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", [cut.name for cut in CAN_BE_CUT])
def test_batches_of_two_processes_are_one_batch(name: str, two_processes):
    assert max(found[name] for found in two_processes) < 1e-6


def of_torch():
    modules = {getattr(nn, name) for name in nn.modules.loss.__all__ if name != "NLLLoss2d"}  # another name
    return sorted(modules, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", of_torch(), ids=lambda kind: kind.__name__)
def test_every_loss_of_torch_is_known(kind):
    arguments = (3, 2) if kind.__name__ == "LinearCrossEntropyLoss" else ()
    assert torch_unit(kind(*arguments)).unit in {"samples", "elements", "labels"}
    assert torch_unit(kind(*arguments, reduction="sum")).unit == "sum"


def test_every_function_of_torch_is_known():
    names = [n for n in dir(F) if n.endswith(("_loss", "cross_entropy", "kl_div", "_with_logits")) and n[0] != "_"]
    assert len(names) > 20
    assert [name for name in names if torch_unit(getattr(F, name)) is None] == []


def test_a_subclass_with_a_forward_of_its_own_is_unknown():
    class Same(nn.CrossEntropyLoss):
        pass

    class Other(nn.CrossEntropyLoss):
        def forward(self, input, target):  # noqa: A002
            return super().forward(input, target) * 2

    assert torch_unit(Same(ignore_index=3)).count(torch.tensor([3, 1])) == 1
    assert torch_unit(Other()) is None


def stage(term: Term, accumulate: int = 2) -> Stage:
    return Stage(losses={"x": term}, accumulate=accumulate)


def mine(student, teacher):
    return (student - teacher).square().mean()


@pytest.mark.parametrize(
    ("loss", "inputs", "name"),
    [(mine, BOTH, "mine"), (ReportedLoss(), {"student": "student"}, "ReportedLoss")],
    ids=["mine", "reported"],
)
def test_a_loss_that_says_nothing_is_refused_where_it_is_accumulated(loss, inputs, name):
    with pytest.raises(TrainingError) as error:
        refuse_uncounted(stage(Term(loss=loss, inputs=inputs)), 1)
    assert str(error.value) == (
        f"stages.1.losses.x: {name} does not declare what it averages over, and accumulate is 2: batches cannot be weighted\n"
        "  hint: set `averages_over: samples` (or `sum`, or the tap of a mask) of the term; a class of yours declares it "
        "(`reduction_scope`, `count`; see distill_core.losses)"
    )
    refuse_uncounted(stage(Term(loss=loss, inputs=inputs), accumulate=1), 0)
    refuse_uncounted(stage(Term(loss=loss, inputs=inputs, averages_over="samples")), 0)
    with pytest.raises(TrainingError, match="processes have batches of different sizes"):
        refuse_uncounted(stage(Term(loss=loss, inputs=inputs), accumulate=1), 0, uneven=True)


@pytest.mark.parametrize(
    ("loss", "said", "message"),
    [
        (KDLoss(), "samples", "KDLoss declares itself what it averages over"),
        (nn.MSELoss(), "sum", "MSELoss declares itself what it averages over"),
        (RKDLoss(), "sum", "RKDLoss declares itself what it averages over"),
        (mine, "tokens", "'samples', 'sum' or the tap of a mask whose sum is the count"),
        (mine, 3, "'samples', 'sum' or the tap of a mask whose sum is the count"),
        (mine, "batch..mask", "losses.x.averages_over"),
    ],
    ids=["ours", "torch", "relation", "word", "number", "tap"],
)
def test_what_a_term_says_is_checked(loss, said, message):
    with pytest.raises(WiringError, match=message):
        normaliser("x", Term(loss=loss, inputs=BOTH, averages_over=said))


@pytest.mark.parametrize(
    ("loss", "accumulate", "processes", "noted"),
    [
        (RKDLoss(), 1, 1, False),
        (RKDLoss(), 1, 2, False),
        (RKDLoss(), 2, 1, True),
        (KRLoss(levels=1), 1, 2, True),
        (KRLoss(levels=1), 2, 1, True),
        (CRDLoss(num_samples=9), 2, 1, True),
        (CRDLoss(num_samples=9), 1, 2, False),
        (KDLoss(), 4, 2, False),
        (TokenCELoss(), 4, 2, False),
    ],
)
def test_what_depends_on_the_batch_is_noted(loss, accumulate, processes, noted):
    inputs = BOTH if not isinstance(loss, TokenCELoss) else {"student": "student", "target": "batch.target"}
    found = cut_notes(stage(Term(loss=loss, inputs=inputs), accumulate), processes)
    assert len(found) == noted
    assert all(note.key == "losses.x" for note in found)
    assert all(note.message.startswith(f"{type(loss).__name__} depends on all samples of a batch") for note in found)
    if noted:
        assert cut_notes(stage(Term(loss=loss, inputs=BOTH, averages_over="samples"), accumulate), processes) == []


@pytest.mark.parametrize(
    ("loss", "noted"), [(mine, True), (ReportedLoss(), True), (KDLoss(), False), (nn.MSELoss(), False)]
)
def test_a_loss_that_says_nothing_is_noted_for_several_processes(loss, noted):
    """Their batches have the same number of samples, but perhaps not of what it averages over."""
    inputs = {"student": "student"} if isinstance(loss, ReportedLoss) else BOTH
    found = cut_notes(stage(Term(loss=loss, inputs=inputs), accumulate=1), 2)
    assert len(found) == noted
    assert all(
        "does not declare what it averages over, so each of 2 processes counts the same" in note.message
        for note in found
    )
    assert cut_notes(stage(Term(loss=loss, inputs=inputs), accumulate=1), 1) == []
    if noted:
        assert cut_notes(stage(Term(loss=loss, inputs=inputs, averages_over="samples"), accumulate=1), 2) == []


class Texts:
    """Tokens of different lengths."""

    def __init__(self, lengths, *, num_tokens=False):
        self.lengths = torch.tensor(lengths)
        if num_tokens:
            self.num_tokens = self.lengths


HIDDEN = {"input": "student.encoder", "target": "teacher:out.hidden_states.1"}
LOGITS = {"input": "student:out.logits", "target": "teacher:out.logits"}
TAPS = {"student": "student.encoder", "teacher": "teacher.encoder"}


@pytest.mark.parametrize(
    ("loss", "inputs", "data", "noted"),
    [
        (nn.MSELoss(), HIDDEN, Texts([3, 5]), True),
        (F.smooth_l1_loss, HIDDEN, Texts([3, 5]), True),
        (nn.MSELoss(reduction="sum"), HIDDEN, Texts([3, 5]), False),
        (nn.MSELoss(), HIDDEN, Texts([5, 5]), False),
        (nn.MSELoss(), HIDDEN, object(), False),
        (nn.MSELoss(), LOGITS, Texts([3, 5]), False),
        (nn.MSELoss(), LOGITS, Texts([3, 5], num_tokens=True), True),
        (nn.MSELoss(), {"input": "student.head", "target": "batch.target"}, Texts([3, 5]), False),
        (HiddenCosineLoss(), TAPS, Texts([3, 5]), True),
        (HiddenCosineLoss(), TAPS | {"mask": "batch.attention_mask"}, Texts([3, 5]), False),
    ],
)
def test_means_over_padding_are_noted(loss, inputs, data, noted):
    several = stage(Term(loss=loss, inputs=inputs))
    assert len(padding_notes(several, data)) == noted
    assert all("padding counts too" in note.message for note in padding_notes(several, data))
    alone = stage(Term(loss=loss, inputs=inputs), accumulate=1)
    assert padding_notes(alone, data) == []
    assert len(padding_notes(alone, data, processes=2)) == noted


def test_labels_of_a_model_that_learns():
    from distill_core.train.step._loss_scale import LossScales

    class Source:
        def __init__(self, name, *, frozen):
            self.name, self.frozen, self.feed = name, frozen, None

    sources = [Source("peer", frozen=False), Source("teacher", frozen=True)]

    def term(loss, source):
        return {"x": Term(loss=loss, inputs={"input": "student", "target": source})}

    assert LossScales(term(nn.CrossEntropyLoss(), "peer"), sources).normalisers["x"].unit == "samples"
    weighted = nn.CrossEntropyLoss(torch.ones(3))
    assert LossScales(term(weighted, "teacher"), sources).normalisers["x"].unit == "count"
    with pytest.raises(WiringError, match=r"losses\.x: what it averages over is read from 'peer', a model that learns"):
        LossScales(term(weighted, "peer"), sources)
