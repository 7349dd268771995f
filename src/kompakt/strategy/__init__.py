"""Floor 6: recipes, and the jobs that they describe."""

from .class_groups import search_groups as search_groups
from .compress import compress as compress
from .compress import run_recipe as run_recipe
from .demo import run_demo as run_demo
from .expectation import expectation as expectation
from .job import Compressed as Compressed
from .job import Job as Job
from .job import prepare as prepare
from .recipe import Recipe as Recipe
from .recipe import builtin_recipes as builtin_recipes
from .recipe import load_recipe as load_recipe
from .schemes import compare_schemes as compare_schemes
from .sensitivity import measure_sensitivity as measure_sensitivity
from .survey import survey as survey
