"""The policy of config files: the names, methods and argument values that a file may use, decided by `_table.py`."""

from ._names import AREAS as AREAS
from ._names import EXACT as EXACT
from ._names import FOREIGN as FOREIGN
from ._names import OURS as OURS
from ._names import ROOTS as ROOTS
from ._names import argument_refusal as argument_refusal
from ._names import is_allowed as is_allowed
from ._names import is_importable as is_importable
from ._names import is_method_allowed as is_method_allowed
from ._names import is_only_called as is_only_called
from ._names import leads_to_area as leads_to_area
from ._names import refusal as refusal
from ._names import untrustable as untrustable
from ._values import UNKNOWN as UNKNOWN
