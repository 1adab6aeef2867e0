"""Conversion of configuration files of torchdistill, without importing or calling anything that they name."""

from ._file import Converted as Converted
from ._file import convert_torchdistill as convert_torchdistill
from ._file import is_torchdistill as is_torchdistill
from ._report import Finding as Finding
from ._report import Report as Report
