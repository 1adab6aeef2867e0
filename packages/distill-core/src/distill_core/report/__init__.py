"""Tables and plots of finished runs, made from their records alone.

A run is finished if its folder has a `results.json`. Runs of one configuration with several seeds share a row: mean ±
sample standard deviation. All functions take and return plain data. Only `plot` needs matplotlib.
"""

from ._checklist import ChecklistItem as ChecklistItem
from ._checklist import checklist as checklist
from ._files import as_record as as_record
from ._files import publish as publish
from ._files import write as write
from ._files import write_table as write_table
from ._formats import to_csv as to_csv
from ._formats import to_latex as to_latex
from ._formats import to_markdown as to_markdown
from ._gap import gaps_closed as gaps_closed
from ._plot import plot as plot
from ._plot import require_matplotlib as require_matplotlib
from ._runs import Row as Row
from ._runs import RunResult as RunResult
from ._runs import collect as collect
from ._runs import mean_and_deviation as mean_and_deviation
from ._runs import summarise as summarise
from ._table import caption as caption
from ._table import markdown_table as markdown_table
from ._table import plus_minus as plus_minus
from ._table import print_table as print_table
from ._table import table as table
