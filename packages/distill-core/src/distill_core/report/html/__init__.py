"""The report of runs as one HTML file, which needs neither a network nor scripts.

Each function returns markup from plain data, and every name is escaped.
"""

from ._comparison import comparison_section as comparison_section
from ._comparison import cost_section as cost_section
from ._heat_map import heat_map as heat_map
from ._line_chart import Series as Series
from ._line_chart import line_chart as line_chart
from ._markup import Html as Html
from ._markup import element as element
from ._page import Section as Section
from ._report import html_report as html_report
from ._report import write_html as write_html
from ._run import ReportRun as ReportRun
