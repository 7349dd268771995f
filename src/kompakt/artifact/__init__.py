"""Floor 2: the integer program, its checks, and the strict `.kpt` file. NumPy and the standard library only."""

from .check import check as check
from .program import Node as Node
from .program import Program as Program
from .program import ValueType as ValueType
from .read import from_bytes as from_bytes
from .read import load as load
from .read import sections as sections
from .weight import FloatWeight as FloatWeight
from .weight import Weight as Weight
from .write import save as save
from .write import to_bytes as to_bytes
