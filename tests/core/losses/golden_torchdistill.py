"""Our losses next to torchdistill's: a table that says which of ours computes the same, and with which factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distill_core.losses import (
    ATLoss,
    PKTLoss,
    RKDLoss,
    SKDDirectionLoss,
    SPKDLoss,
    activation_boundaries,
    adaptive_l2,
    affinity_distance,
    factor_transfer,
    hierarchical_context,
    knowledge_adaptation,
)

from . import golden_torchdistill_calls as calls
from .golden import Call


@dataclass(frozen=True)
class Counterpart:
    """What of ours computes a loss of torchdistill.

    Attributes:
        relation: `exact` if ours is equal, `scaled` if it is equal up to `factor`, `corrected` if ours is another loss.
        ours: The expression of ours, in the names of the settings of torchdistill.
        call: Ours, times the factor.
        factor: What ours is multiplied by to get theirs, for `scaled`.
        theirs: Their formula, for `corrected`: it shows that nothing else differs.
        reason: What is different in theirs, for `corrected`.
    """

    relation: Literal["exact", "scaled", "corrected"]
    ours: str
    call: Call
    factor: str = ""
    theirs: Call | None = None
    reason: str = ""


TABLE: dict[str, Counterpart] = {
    "KDLoss": Counterpart("exact", "alpha * CrossEntropyLoss() + beta * KDLoss(temperature)", calls.kd),
    "LogitStdKDLoss": Counterpart(
        "exact", "alpha * CrossEntropyLoss() + beta * StandardisedLogits(KDLoss(temperature))", calls.standardised_kd
    ),
    "ATLoss": Counterpart(
        "exact", "ATLoss(mode)", lambda case: ATLoss(**case.settings)([case["student"]], [case["teacher"]])
    ),
    "PKTLoss": Counterpart("exact", 'PKTLoss(mode="code")', lambda case: calls.both(case, PKTLoss(mode="code"))),
    "FTLoss": Counterpart(
        "exact",
        'FTLoss(p=p, mode="code" if p == 1 else "paper")',
        lambda case: factor_transfer(
            case["student"], case["teacher"], case.settings["p"], "code" if case.settings["p"] == 1 else "paper"
        ),
    ),
    "AltActTransferLoss": Counterpart(
        "exact",
        "DABLoss(margin)",
        lambda case: activation_boundaries(case["student"], case["teacher"], case.settings["margin"]),
    ),
    "RKDLoss": Counterpart(
        "exact",
        "RKDLoss(dist_factor, angle_factor)",
        lambda case: calls.both(case, RKDLoss(case.settings["dist_factor"], case.settings["angle_factor"])),
    ),
    "VIDLoss": Counterpart("exact", "VIDLoss()", calls.vid),
    "CRDLoss": Counterpart("exact", "CRDLoss()", calls.crd),
    "AuxSSKDLoss": Counterpart("exact", "SSKDHeadLoss()", calls.rotations),
    "SSKDLoss": Counterpart("exact", "SSKDLoss(), the weights by name", calls.sskd),
    "PADL2Loss": Counterpart(
        "exact",
        "PADL2Loss()",
        lambda case: adaptive_l2(case["student"], case["student_log_variance"], case["teacher"]),
    ),
    "HierarchicalContextLoss": Counterpart(
        "exact", "KRLoss()", lambda case: hierarchical_context(case["student"], case["teacher"])
    ),
    "KTALoss": Counterpart(
        "exact",
        'KTALoss(p=p, q=q, mode="code")',
        lambda case: knowledge_adaptation(case["student"], case["teacher"], **case.settings, mode="code"),
    ),
    "DISTLoss": Counterpart("exact", "DISTLoss(beta, gamma, tau)", calls.dist),
    "SRDLoss": Counterpart("exact", "2 * SRDLoss(exponent) + KDLoss(temperature) / temperature**2", calls.srd),
    "SKDDirectionLoss": Counterpart(
        "exact", "SKDDirectionLoss(tikhonov, mode)", lambda case: calls.both(case, SKDDirectionLoss(**case.settings))
    ),
    "SKDInstanceLoss: paper": Counterpart("exact", 'SKDInstanceLoss(temperature, mode="paper")', calls.skd_instance),
    "ChSimLoss": Counterpart("scaled", 'ICKDLoss(mode="code")', calls.channel_similarity, factor="1 / batch"),
    "RegularizationLoss: p 1": Counterpart(
        "scaled",
        "the sparsity of KTAutoencoderLoss()",
        lambda case: len(case["student"]) * calls.sparsity(case),
        factor="batch",
    ),
    "RegularizationLoss: p 2": Counterpart(
        "corrected",
        "the sparsity of KTAutoencoderLoss()",
        calls.sparsity,
        theirs=calls.p_norm,
        reason="a 2-norm of the whole batch",
    ),
    "FSPLoss": Counterpart(
        "corrected",
        'FSPLoss("paper")',
        calls.fsp,
        theirs=calls.fsp_columns,
        reason="norms of columns that are not squared",
    ),
    "CCKDLoss": Counterpart(
        "corrected",
        "CCKDLoss(kernel=kernel, gamma=gamma, order=order)",
        calls.congruence,
        theirs=lambda case: calls.congruence(case).sqrt() / len(case["student"]),
        reason="the root of the mean of squares, over the batch",
    ),
    "SPKDLoss": Counterpart(
        "corrected",
        "SPKDLoss()",
        lambda case: calls.both(case, SPKDLoss()),
        theirs=calls.spkd_rows,
        reason="rows with a 1-norm of 1 instead of a 2-norm",
    ),
    "AffinityLoss": Counterpart(
        "corrected",
        "AffinityLoss()",
        lambda case: affinity_distance(case["student"], case["teacher"]),
        theirs=calls.affinity_by_channel,
        reason="affinities of each channel instead of cosines over the channels",
    ),
    "DISTPlusLoss": Counterpart(
        "corrected",
        "DISTPlusLoss(beta, gamma, iota, kappa, tau)",
        calls.dist_plus,
        theirs=calls.dist_plus_axes,
        reason="iota weights the correlation over channels with a plus sign, kappa one over the batch",
    ),
    "SKDInstanceLoss: code": Counterpart(
        "corrected",
        'SKDInstanceLoss(temperature, mode="code")',
        calls.skd_instance,
        theirs=calls.confident_samples,
        reason="a mask of samples instead of the fraction that it keeps",
    ),
}
