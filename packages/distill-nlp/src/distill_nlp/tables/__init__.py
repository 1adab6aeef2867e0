"""Rows of text: tables in files, saved datasets, datasets of the library `datasets` and lists, with their locations."""

from ._column_names import check_columns as check_columns
from ._given_texts import Columns as Columns
from ._given_texts import given_texts as given_texts
from ._given_texts import is_table as is_table
from ._given_texts import rows_of as rows_of
from ._lines import read_lines as read_lines
from ._lines import read_text as read_text
from ._read_table import TABLES as TABLES
from ._read_table import parse_json as parse_json
from ._read_table import read_table as read_table
from ._sources import Rows as Rows
from ._sources import is_dataset as is_dataset
from ._sources import is_saved as is_saved
from ._sources import is_stream as is_stream
from ._sources import read_rows as read_rows
from ._sources import row_of as row_of
from ._table import Table as Table
