"""Floor 4: quantizers as parts, and the slots that hold them."""

from .quantizer import Parts as Parts
from .quantizer import Quantizer as Quantizer
from .slots import ActivationSlot as ActivationSlot
from .slots import WeightSlot as WeightSlot
from .table import METHODS as METHODS
from .table import method as method
