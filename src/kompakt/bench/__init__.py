"""Floor 8: speed and error against other engines that run the same network, and the results page."""

from .peers import DEFAULT as DEFAULT
from .peers import PEERS as PEERS
from .result import BenchResult as BenchResult
from .result import Row as Row
from .result import save as save
from .run import run_bench as run_bench
from .table import format_table as format_table
