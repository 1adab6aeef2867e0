"""Modules beside the file of an experiment, which it may name once they are trusted."""

from ._modules_beside import hint_beside as hint_beside
from ._modules_beside import modules_beside as modules_beside
from ._modules_beside import trusted as trusted
