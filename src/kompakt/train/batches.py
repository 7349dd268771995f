"""Batches that depend on (seed, epoch, step) alone, so that a resumed run sees what an unbroken one would."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..data import Dataset


class Batches:
    """Shuffled, augmented training batches of a data set: float32 (B, C, H, W) or (B, features), labels (B,) int64,
    or (B, steps).

    Images are in channels-last order.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, device: torch.device) -> None:
        self.dataset, self.batch_size, self.seed, self.device = dataset, batch_size, seed, device
        pad = dataset.crop_padding
        images = torch.from_numpy(dataset.train.images)
        self.images = torch.nn.functional.pad(images, (pad,) * 4) if pad else images
        self.labels = torch.from_numpy(dataset.train.labels)
        shape = (1, -1, *[1] * (images.dim() - 2))
        self.scale = (dataset.scale / torch.tensor(dataset.std)).reshape(shape)
        self.offset = (-torch.tensor(dataset.mean) / torch.tensor(dataset.std)).reshape(shape)

    @property
    def steps(self) -> int:
        """Steps per epoch; the last incomplete batch is left out."""
        return max(1, len(self.labels) // self.batch_size)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, from `first_step` on."""
        order = torch.randperm(len(self.labels), generator=self._generator(epoch, -1))
        for step in range(first_step, self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            images = self._augment(self.images[index], self._generator(epoch, step)).float()
            x = in_channels_last(images * self.scale + self.offset)
            yield x.to(self.device), self.labels[index].to(self.device)

    def _augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        pad, count = self.dataset.crop_padding, len(images)
        if pad:
            height, width = images.shape[2] - 2 * pad, images.shape[3] - 2 * pad
            top, left = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
            rows = (top + torch.arange(height))[:, None, :, None]
            columns = (left + torch.arange(width))[:, None, None, :]
            image, channel = torch.arange(count)[:, None, None, None], torch.arange(images.shape[1])[:, None, None]
            images = images[image, channel, rows, columns]
        if self.dataset.flip:
            mirrored = torch.rand(count, generator=generator) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        return images

    def _generator(self, epoch: int, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(((self.seed * 100_003 + epoch) * 1_000_003 + step + 1) % 2**63)


def in_channels_last(x: Tensor) -> Tensor:
    """Images in channels-last order, in which CPUs convolve fastest; features as they are."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
