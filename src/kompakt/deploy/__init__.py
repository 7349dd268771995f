"""Floor 5: from a quantized graph to the integer program that the engine executes."""

from .lower import lower as lower
