"""Floor 3: costs of programs."""

from .costs import NodeCost as NodeCost
from .costs import ProgramCost as ProgramCost
from .costs import layer_costs as layer_costs
from .costs import program_cost as program_cost
from .requantization import RequantizationCost as RequantizationCost
from .requantization import energy_per_value_pj as energy_per_value_pj
from .requantization import requantization_costs as requantization_costs
