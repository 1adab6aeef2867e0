"""Displays of a run: a live bar on a terminal or in a notebook, plain lines elsewhere and in `log.txt`."""

from ._display import closed as closed
from ._display import displays as displays
from ._display import live_bar as live_bar
from ._lines import PlainLog as PlainLog
from ._lines import describe_losses as describe_losses
from ._lines import describe_metrics as describe_metrics
from ._lines import describe_modes as describe_modes
from ._lines import describe_rate as describe_rate
from ._lines import describe_record as describe_record
from ._lines import describe_run as describe_run
from ._lines import describe_source as describe_source
from ._lines import describe_stage as describe_stage
from ._lines import describe_weight as describe_weight
from ._lines import stage_name as stage_name
