"""Floor 2: a checked view over a traced module, and rewrites of it."""

from .equalize import equalize as equalize
from .fold import fold_batch_norm as fold_batch_norm
from .graph import Graph as Graph
from .graph import operand as operand
from .kind import Kind as Kind
from .kind import Slot as Slot
from .parts import Parts as Parts
from .parts import RunInParts as RunInParts
from .parts import run_in_parts as run_in_parts
from .shift_norm import use_shift_norms as use_shift_norms
from .spec import check as check
from .trace import trace as trace
