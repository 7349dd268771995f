"""Hostile files: one table, one entry per defect. Every reader's tests draw from it.

    for name, case in CASES.items():
        data = case.make(seed)      # illegal, in exactly this one way
        case.kinds                  # the kinds of ArtifactError that a reader may give; nearly always one
        case.twin(seed)             # the legal file that `data` was made from

Cases with `is_large` make files of megabytes; one seed of them is enough.
"""

from . import container as container
from . import manifest as manifest
from . import nodes as nodes
from . import numbers as numbers
from . import shapes as shapes
from . import tokens as tokens
from . import variants as variants
from ._case import CASES as CASES
from ._case import Case as Case
