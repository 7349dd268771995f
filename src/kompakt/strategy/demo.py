"""The demonstration: a small network trained from scratch on digits, compressed to 2 bits, checked in the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from .._core.errors import RecipeError
from .._core.files import atomic_write
from ..data import Dataset, digits
from ..train import TrainSettings
from ..zoo import DigitsNet
from .compress import run_recipe
from .float_training import train_float
from .job import Compressed, Progress
from .recipe import Recipe, load_recipe

FLOAT_TRAINING = TrainSettings(
    epochs=20, batch_size=64, optimizer="adam", lr=4e-3, weight_decay=1e-4, distill=0.0, last_stage_epochs=0,
    evaluate_every=10, bf16=False, compile=False,
)  # fmt: skip

# Left beside the weights, so that every other command can take the float network from there.
NET_PY = '''"""The float network of the demonstration, as any network of yours could be given to Kompakt."""

from pathlib import Path

from safetensors.torch import load_file

from kompakt.zoo import DigitsNet


def build():
    model = DigitsNet()
    model.load_state_dict(load_file(Path(__file__).parent / "weights.safetensors"))
    return model.eval()
'''


def run_demo(folder: Path, *, on_progress: Progress = lambda record: None) -> Compressed:
    """Train, compress, pack, evaluate and report; leaves a run folder with the float network (`net.py`) in it.

    Args:
        folder: new, empty, or of an earlier demonstration, which is replaced.
    Raises: RecipeError if something else is in the folder. DataError where scikit-learn is missing.
    """
    if folder.exists() and not (folder / "net.py").exists() and any(folder.iterdir()):
        raise RecipeError(f"{folder}: exists and holds something else; give another --folder")
    dataset = digits()
    atomic_write(folder / "net.py", NET_PY.encode())  # first: it marks the folder as ours
    with _one_thread():
        model = float_digits_net(dataset, folder / "float", on_progress)
        atomic_write(folder / "weights.safetensors", safetensors.torch.save(model.state_dict()))
        return run_recipe(demo_recipe(folder), folder, on_progress=on_progress)


def demo_recipe(folder: Path) -> Recipe:
    """The built-in recipe `digits-demo` on the network that lies in `folder`."""
    settings: dict[str, Any] = {"model.source": f"{folder / 'net.py'}:build", "output.folder": str(folder)}
    return load_recipe("digits-demo", settings)


def float_digits_net(dataset: Dataset, folder: Path, on_progress: Progress = lambda record: None) -> nn.Module:
    """A DigitsNet trained from scratch; the same seed gives the same weights on the same machine."""
    torch.manual_seed(FLOAT_TRAINING.seed)
    return train_float(DigitsNet(), dataset, FLOAT_TRAINING, folder, on_progress=on_progress)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Layers this small gain nothing from threads, and threads that wait for each other on busy cores cost a lot."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
