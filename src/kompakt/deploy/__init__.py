"""Floor 5: from a quantized graph to the integer program that the engine executes."""

from .lower import lower as lower
from .lower import lower_traceably as lower_traceably
from .stored_integers import import_integers as import_integers
from .stored_integers import import_network as import_network
