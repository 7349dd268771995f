"""Data sets by name, read from a folder on disk; nothing is ever downloaded."""

from ._locate import locate as locate
from .cards import card as card
from .cards import pretrained_folder as pretrained_folder
from .cifar10 import cifar10 as cifar10
from .digits import digits as digits
from .judging import Tally as Tally
from .judging import batch_size_of as batch_size_of
from .judging import judged as judged
from .judging import quality as quality
from .preparation import Preparation as Preparation
from .preparation import preparation as preparation
from .sources import DATASETS as DATASETS
from .sources import as_dataset as as_dataset
from .sources import call_user_function as call_user_function
from .sources import load_dataset as load_dataset
from .sources import user_object as user_object
from .types import NO_LABEL as NO_LABEL
from .types import Dataset as Dataset
from .types import Split as Split
