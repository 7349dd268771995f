"""Floor 1: how codes mean small integer levels, and how codes lie in bytes. NumPy only."""

from ._packing import pack as pack
from ._packing import packed_bytes as packed_bytes
from ._packing import unpack as unpack
from ._types import LEVEL_LOW as LEVEL_LOW
from ._types import MAX_BITS as MAX_BITS
from ._types import Affine as Affine
from ._types import Encoding as Encoding
from ._types import Planes as Planes
from ._types import Table as Table
from ._types import checked_bits as checked_bits
from ._types import levels as levels
