"""Floor 4: quantizers as parts, and the slots that hold them."""

from .calibrated_step import CalibratedStep as CalibratedStep
from .gradients import quantized_gradients as quantized_gradients
from .grids import Grid as Grid
from .quantizer import Parts as Parts
from .quantizer import Quantizer as Quantizer
from .rule import Moment as Moment
from .rule import Rule as Rule
from .slots import ActivationSlot as ActivationSlot
from .slots import WeightSlot as WeightSlot
from .table import METHODS as METHODS
from .table import method as method
from .training import QuantizerTraining as QuantizerTraining
