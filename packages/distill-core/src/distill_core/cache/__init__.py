"""Caches of teachers' outputs: rows by view and sample in memory-mapped files with checksums."""

from ._cache import Cache as Cache
from ._cache import stored_keys as stored_keys
from ._codecs import NAMES as NAMES
from ._codecs import SPARSE as SPARSE
from ._codecs import Codec as Codec
from ._codecs import Dense as Dense
from ._codecs import Int8 as Int8
from ._codecs import Sampled as Sampled
from ._codecs import TopK as TopK
from ._codecs import codec_named as codec_named
from ._describe import describe as describe
from ._describe import source_of as source_of
from ._format import Format as Format
from ._key import Key as Key
from ._key import hash_rows as hash_rows
from ._key import hash_tensors as hash_tensors
from ._read_ahead import READ_AHEAD as READ_AHEAD
from ._read_ahead import ReadAhead as ReadAhead
from ._shard import Shard as Shard
