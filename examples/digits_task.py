"""What the examples share: 8x8 digits as tensors, a network trained on them in float, and what came out."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import kompakt as kp
from kompakt.data import Split, digits
from kompakt.zoo import DigitsNet


def digits_task(epochs: int = 10) -> tuple[TensorDataset, TensorDataset, DigitsNet]:
    """Images (N, 1, 8, 8) with labels to train and to test on, and a network that knows them; seconds on one core."""
    dataset = digits()

    def tensors(split: Split) -> TensorDataset:
        return TensorDataset(torch.from_numpy(dataset.normalise(split.images)), torch.from_numpy(split.labels))

    torch.manual_seed(0)
    train, model = tensors(dataset.train), DigitsNet(16)
    batches = DataLoader(train, batch_size=64, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    for _ in range(epochs):
        for x, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            optimizer.step()
            schedule.step()
    return train, tensors(dataset.test), model.eval()


def report(small: kp.Compressed, model: torch.nn.Module, test: TensorDataset) -> None:
    """Top-1 of the float network and of the file in the engine, and the file's size."""
    small.save("digits.kpt")
    before, after = accuracy(model, test), accuracy(kp.load("digits.kpt"), test)
    print(f"{small.job.recipe.name}: float {before:.2f} %, engine {after:.2f} %, {len(small.data):,} bytes")


def accuracy(network: Callable[[Tensor], Tensor], test: TensorDataset) -> float:
    """Top-1 in percent of a module or an engine."""
    x, labels = test.tensors
    with torch.no_grad():
        return 100 * float((network(x).argmax(1) == labels).float().mean())
