"""Floor 2: a checked view over a traced module, and rewrites of it."""

from .fold import fold_batch_norm as fold_batch_norm
from .graph import Graph as Graph
from .spec import check as check
from .trace import trace as trace
