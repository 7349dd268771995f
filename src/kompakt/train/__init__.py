"""Floor 5: one small training loop, and its state on disk."""

from .device import device_of as device_of
from .evaluate import accuracy as accuracy
from .evaluate import predict as predict
from .evaluate import score as score
from .loop import train as train
from .replay import Replay as Replay
from .settings import TrainSettings as TrainSettings
