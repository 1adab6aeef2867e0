"""Tokenizers trained on the texts of a task."""

from ._byte_level import byte_level as byte_level
from ._byte_level import text_byte_level as text_byte_level
from ._wordpiece import glue_wordpiece as glue_wordpiece
from ._wordpiece import wordpiece as wordpiece
