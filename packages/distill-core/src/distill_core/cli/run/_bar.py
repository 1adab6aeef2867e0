"""A run as a live bar on a terminal, one for each stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...train import Callback
from ._progress import describe_losses, describe_metrics, describe_run, stage_name

if TYPE_CHECKING:
    from ...experiment import Stage
    from ...train import Trainer


class LiveBar(Callback):
    """Shows how far the stage is, with losses, the last metrics, the rate and the time left.

    The bar reads the trainer's counters when it is drawn, a few times in a second; a step knows nothing of it.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: _StageBar | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Print what is trained, and on what."""
        if trainer.is_main:
            for line in describe_run(trainer):
                self.console.print(line, style="dim", highlight=False, markup=False)

    def on_stage_start(self, trainer: Trainer) -> None:
        """Begin a new bar."""
        self.close()
        if trainer.is_main:
            self._bar = _StageBar(trainer, self.console)
            self._bar.start()

    def on_log(self, trainer: Trainer, record: dict[str, Any]) -> None:  # noqa: ARG002
        """Show new numbers."""
        if self._bar is None:
            return
        if "metrics" in record:
            self._bar.update(self._bar.task, metrics=f"{record['split']} {describe_metrics(record)}")
        else:
            rate = f"{record.get('samples_per_second', 0):,.0f}/s"
            self._bar.update(self._bar.task, losses=describe_losses(record), rate=rate)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Leave the bar of a finished stage where it is."""
        if trainer.epoch == trainer.stage.epochs:
            self.close()

    def close(self) -> None:
        """Draw the bar a last time and give the terminal back."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.stop()
            self._bar = None


class _StageBar(Progress):
    def __init__(self, trainer: Trainer, console: Console) -> None:
        self.trainer = trainer
        self.first_step = sum(_num_steps(trainer, stage) for stage in trainer.stages[: trainer.stage_index])
        super().__init__(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[epoch]}"),
            TimeElapsedColumn(),
            TextColumn("left", style="dim"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}", style="dim"),
            console=console,
            refresh_per_second=5,
        )
        self.task: TaskID = self.add_task(
            stage_name(trainer),
            total=int(trainer.stage.epochs) * trainer.steps_per_epoch,  # type: ignore[arg-type]
            epoch="",
            losses="",
            rate="",
            metrics="",
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        if not self.tasks:
            return
        trainer = self.trainer
        epoch = f"epoch {trainer.epoch}/{trainer.stage.epochs}"
        self.update(self.task, completed=trainer.step - self.first_step, epoch=epoch)
        yield from super().get_renderables()
        fields = self.tasks[0].fields
        if line := "   ".join(text for text in (fields["losses"], fields["metrics"]) if text):
            yield f"  [cyan]{line}[/]"


def _num_steps(trainer: Trainer, stage: Stage) -> int:
    """How many optimizer steps a stage has."""
    per_epoch = -(-trainer.loader(stage).num_training_batches() // int(stage.accumulate))  # type: ignore[arg-type]
    return per_epoch * int(stage.epochs)  # type: ignore[arg-type]
