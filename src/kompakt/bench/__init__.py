"""Floor 8: speed and error against other engines that run the same network, and the results page."""

from ._hide import LESSER as LESSER
from ._hide import hidden as hidden
from ._hide import rerun as rerun
from ._plan import Plan as Plan
from .peers import DEFAULT as DEFAULT
from .peers import PEERS as PEERS
from .peers import expand as expand
from .peers import families as families
from .result import BenchResult as BenchResult
from .result import Row as Row
from .result import save as save
from .run import Subject as Subject
from .run import run_bench as run_bench
from .table import format_table as format_table
