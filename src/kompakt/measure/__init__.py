"""Floor 3: costs of programs."""

from .costs import LayerCost as LayerCost
from .costs import activation_bytes as activation_bytes
from .costs import layer_costs as layer_costs
