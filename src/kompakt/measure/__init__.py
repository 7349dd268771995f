"""Floor 3: costs of programs."""

from .costs import NodeCost as NodeCost
from .costs import ProgramCost as ProgramCost
from .costs import layer_costs as layer_costs
from .costs import program_cost as program_cost
