"""Forward hooks: modules by path, and recording of their inputs and outputs."""

from ._capture import Capture as Capture
from ._captured import Captured as Captured
from ._modules import module_names as module_names
from ._modules import resolve as resolve
from ._modules import unwrap as unwrap
from ._truncate import head as head
