"""`distill export`: the student of a run as a program in one file, for those who have torch and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import did_you_mean
from ._exit import refuse
from ._folder import RESOLVED
from ._load import build_experiment, load_document

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..experiment import Experiment


def export_run(run_dir: Path, *, output: Path | None = None, model: str = "student", trust: Sequence[str] = ()) -> Path:
    """Rebuild a trained model of a run, trace it with `torch.export`, and write it where it may have batches of any size.

    The program takes what the model is fed with and gives what it gives: `torch.export.load(file).module()(images)`.

    Args:
        run_dir: The folder of the run, with `student.safetensors` in it.
        output: The file; `<model>.pt2` in the folder if left out.
        model: Which model.
        trust: Packages whose objects the experiment may name besides the trusted ones.

    Returns:
        The file.

    Raises:
        ConfigError: It is no folder of a run, has no such model, or the program gives something else than the model.
    """
    import torch

    from ..weights import load_weights

    if not (run_dir / RESOLVED).is_file():
        refuse(f"{run_dir} is not the folder of a run: it has no {RESOLVED}", "")
    experiment = build_experiment(load_document(run_dir / RESOLVED, (), trust), trust)
    if model not in experiment.models:
        refuse(f"the run has no model '{model}'", did_you_mean(model, experiment.models))
    network: nn.Module = load_weights(experiment.models[model], run_dir / f"{model}.safetensors").eval()
    example = _example(experiment, network, model)
    file = output or run_dir / f"{model}.pt2"
    torch.export.save(_traced(network, *_as_fed(example)), file)
    _compare(file, network, example)
    print(f"{file}: {file.stat().st_size:,} bytes\n\n{_how_to_use(file, example)}")
    return file


def _example(experiment: Experiment, network: nn.Module, model: str) -> dict[str, Tensor]:
    """What the model is fed with for two samples, by the names of its parameters."""
    import inspect

    from ..data import as_loader
    from ..wiring import Wiring, read_batch

    feed: Any = next((stage.feed for stage in reversed(experiment.stages) if isinstance(stage.feed, Mapping)), {})
    first = next(iter(inspect.signature(network.forward).parameters))
    wiring = Wiring(feed.get(model) or {first: "batch.input"}, f"feed.{model}")
    loader = as_loader(experiment.test.loader if experiment.test else experiment.data["train"])
    batch = next(iter(loader))
    given = wiring.kwargs({tap: read_batch(batch, tap) for tap in wiring.taps})
    return {name: tensor[:2] for name, tensor in given.items()}


def _as_fed(example: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Arguments and keywords of a call: a single tensor without its name, several by name."""
    return (tuple(example.values()), {}) if len(example) == 1 else ((), dict(example))


def _traced(network: nn.Module, arguments: tuple[Tensor, ...], keywords: dict[str, Tensor]) -> Any:
    import torch

    batch = {0: torch.export.Dim("batch", min=1)}
    sizes: Any = (batch,) if arguments else dict.fromkeys(keywords, batch)
    with torch.no_grad():
        return torch.export.export(network, arguments, keywords, dynamic_shapes=sizes)


def _compare(file: Path, network: nn.Module, example: Mapping[str, Tensor]) -> None:
    """Read the file as its users will, and compare for one sample."""
    import torch

    arguments, keywords = _as_fed({name: tensor[:1] for name, tensor in example.items()})
    with torch.no_grad():
        program, model = torch.export.load(file).module()(*arguments, **keywords), network(*arguments, **keywords)
    try:
        torch.testing.assert_close(program, model, rtol=1e-4, atol=1e-4)
    except AssertionError as error:
        refuse(f"{file} gives something else than the model: {error}", "")


def _how_to_use(file: Path, example: Mapping[str, Tensor]) -> str:
    shapes = "; ".join(f"{name} (batch, {', '.join(map(str, tensor.shape[1:]))})" for name, tensor in example.items())
    call = ", ".join(example) if len(example) == 1 else ", ".join(f"{name}={name}" for name in example)
    lines = ["import torch", f"model = torch.export.load('{file}').module()", f"out = model({call})    # {shapes}"]
    return "\n".join(f"    {line}" for line in lines)
