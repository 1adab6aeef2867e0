"""A live progress bar on a terminal, one for each stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..callbacks import Callback
from ._lines import describe_losses, describe_metrics, describe_rate, describe_run, peak_memory, stage_name

if TYPE_CHECKING:
    from .._state import Run


class LiveBar(Callback):
    """Shows how far the stage is, with losses, the last metrics, learning rate, speed, time left and memory.

    The bar reads the run's counters when it is drawn, a few times in a second; a step knows nothing of it.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: _StageBar | None = None

    def on_fit_start(self, run: Run) -> None:
        """Print the models, the device, the precision and the seed."""
        if run.is_main:
            for line in describe_run(run):
                self.console.print(line, style="dim", highlight=False, markup=False)

    def on_stage_start(self, run: Run) -> None:
        """Start a new bar."""
        self.close()
        if run.is_main:
            self._bar = _StageBar(run, self.console)
            self._bar.start()

    def on_log(self, run: Run, record: dict[str, Any]) -> None:
        """Show new numbers."""
        if self._bar is None:
            return
        if "metrics" in record:
            self._bar.update(self._bar.task, metrics=f"{record['split']} {describe_metrics(record)}")
        else:
            rate = f"{describe_rate(record.get('samples_per_second', 0))}/s"
            lr = f" · lr {record['lr']:.3g}" if isinstance(record.get("lr"), int | float) else ""
            self._bar.update(self._bar.task, losses=describe_losses(record) + lr, rate=rate)

    def on_epoch_end(self, run: Run) -> None:
        """Close the bar of a finished stage."""
        if run.is_last_epoch:
            self.close()

    def close(self) -> None:
        """Draw the bar a last time and release the terminal."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.stop()
            self._bar = None


class _StageBar(Progress):
    def __init__(self, run: Run, console: Console) -> None:
        self.run = run
        super().__init__(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[epoch]}"),
            TimeElapsedColumn(),
            TextColumn("left", style="dim"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}", style="dim"),
            TextColumn("{task.fields[memory]}", style="dim"),
            console=console,
            refresh_per_second=5,
        )
        self.task: TaskID = self.add_task(
            stage_name(run),
            total=run.stage.num_steps(run.steps_per_epoch),
            epoch="",
            losses="",
            rate="",
            memory="",
            metrics="",
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        if not self.tasks:
            return
        run = self.run
        epoch = f"epoch {run.state.epoch}/{run.num_epochs}"
        self.update(self.task, completed=run.state.stage_step, epoch=epoch, memory=peak_memory(run.device))
        yield from super().get_renderables()
        fields = self.tasks[0].fields
        if line := "   ".join(text for text in (fields["losses"], fields["metrics"]) if text):
            yield f"  [cyan]{line}[/]"
