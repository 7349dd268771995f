"""Data sets by name, read from a folder on disk; nothing is ever downloaded."""

from ._locate import locate as locate
from .cifar10 import cifar10 as cifar10
from .digits import digits as digits
from .types import Dataset as Dataset
from .types import Split as Split
