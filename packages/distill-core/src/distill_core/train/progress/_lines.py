"""Plain lines about a run, for `log.txt` and for output that is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from ...number_text import counted, describe_number
from ...weights import describe_model
from ..callbacks import Callback

if TYPE_CHECKING:
    from ...experiment import SourceSettings
    from .._state import Run


class PlainLog(Callback):
    """A log with the head of a run, a line for each stage and a line for each record of `metrics.jsonl`.

    Args:
        write: Called with each line, without a line break.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write = write

    def on_fit_start(self, run: Run) -> None:
        """Write the models, the device, the precision and the seed."""
        if run.is_main:
            self.write(" · ".join(describe_run(run)))

    def on_stage_start(self, run: Run) -> None:
        """Write the length, the losses and the modes of the stage."""
        if run.is_main:
            self.write(describe_stage(run))

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Write a record."""
        position = f"{stage_name(run)} · epoch {record['epoch']}/{run.num_epochs} · step {record['step']}"
        self.write(f"{position} · {record['split']} · {describe_record(record)}")


def stage_name(run: Run) -> str:
    """Return the number of the stage, from 1: `stage 1/2`."""
    return f"stage {run.state.stage + 1}/{len(run.stages)}"


def describe_run(run: Run) -> list[str]:
    """Return a line for each model with its size, and one with the device, the precision and the seed."""
    models = [f"{name}: {describe_model(model)}" for name, model in run.models.items()]
    experiment = run.experiment
    return [*models, f"on {run.device} in {experiment.precision} with seed {experiment.seed}"]


def describe_source(settings: SourceSettings | None) -> str:
    """Return the settings of a frozen model that differ from the defaults.

    >>> from distill_core.experiment import SourceSettings
    >>> describe_source(SourceSettings(precision="bf16", compile=True))
    'in bf16 compiled'
    """
    if settings is None:
        return ""
    return " ".join(
        [f"in {settings.precision}"] * (settings.precision is not None)
        + ["compiled"] * bool(settings.compile)
        + [settings.input_text] * bool(settings.input_text)
    )


def describe_weight(weight: Any) -> str:
    """Return a weight as a factor: `0.9 ·`, or the name of its schedule."""
    return f"{weight:g} ·" if isinstance(weight, int | float) else f"{type(weight).__name__} ·"


def describe_modes(run: Run) -> str:
    """Return the mode of each model in this stage: `student learns, teacher in eval mode in bf16`."""
    names = {name.split(".")[0] for name in run.trainable}
    chosen = run.stage.modes
    modes = {
        name: " ".join(
            ["learns"] * (name in names)
            + [f"in {chosen.get(name, 'eval')} mode"] * (name not in names or name in chosen)
            + [describe_source(run.experiment.sources.get(name))] * (name not in names)
        ).strip()
        for name in run.models
    }
    return ", ".join(f"{name} {mode}" for name, mode in modes.items())


def describe_stage(run: Run) -> str:
    """Return the epochs, steps, terms and modes of the stage."""
    stage = run.stage
    terms = " + ".join(f"{describe_weight(term.weight)} {name}" for name, term in stage.losses.items())
    steps = counted(run.steps_per_epoch if stage.steps is None else stage.steps, "step")
    length = f"{counted(stage.epochs, 'epoch')} of {steps}" if stage.steps is None else steps
    return f"{stage_name(run)} · {length} · loss = {terms} · {describe_modes(run)}"


def describe_record(record: Mapping[str, Any]) -> str:
    """Return the numbers of a record: losses, learning rate and speed, or metrics."""
    if "metrics" in record:
        return describe_metrics(record)
    parts = [describe_losses(record)]
    if isinstance(record.get("lr"), int | float):
        parts.append(f"lr {record['lr']:.3g}")
    if "samples_per_second" in record:
        parts.append(f"{describe_rate(record['samples_per_second'])} samples/s")
    return " · ".join(parts)


def describe_rate(rate: float) -> str:
    """Return a number per second: an integer, with two digits below 10.

    >>> [describe_rate(rate) for rate in (12345.6, 10, 9.96, 0.462, 0.0031, 0)]
    ['12,346', '10', '10', '0.46', '0.0031', '0']
    """
    return f"{rate:,.0f}" if rate >= 9.95 else f"{rate:.2g}"


def peak_memory(device: torch.device) -> str:
    """Return the greatest memory in use so far, of the device or of this process; empty if it is not known."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    if sys.platform == "win32":
        return ""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.1f} GiB"


def describe_losses(record: Mapping[str, Any]) -> str:
    """Return the loss and, if there are several, its terms: `loss 0.7 (ce 0.3, kd 0.5)`."""
    losses = record.get("losses", {})
    terms = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    return f"loss {record['loss']:.4g}" + (f" ({terms})" if len(losses) > 1 else "")


def describe_metrics(record: Mapping[str, Any]) -> str:
    """Format the names and values of a record of metrics: `top1 95.12% · loss 0.1234`."""
    percent = record.get("percent", ())
    metrics = record["metrics"].items()
    return " · ".join(f"{name} {describe_number(value, percent=name in percent)}" for name, value in metrics)
