"""What a training step minimises: the loss of one network, or of several bit-widths that teach each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import NO_LABEL
from ..graph.blocks import chains
from ..quant.widths import Widths
from .settings import TrainSettings

Forward = Callable[[Tensor], Tensor]
MEMORY = 0.98  # of the running losses: about the last fifty steps
EVEN = 0.5  # odds


class Objective(Protocol):
    """What a run minimises, without penalties."""

    def target(self, x: Tensor) -> Tensor | None:
        """Logits of the float network, (samples, classes); None where nothing is compared with it."""
        ...

    def __call__(self, x: Tensor, labels: Tensor, target: Tensor | None, done: float) -> Tensor:
        """The loss, scalar with gradients.

        Args:
            target: of `x`, see `target`.
            done: share of the run that lies behind, 0 at the first step, below 1 at the last.
        """
        ...


def make_objective(module: nn.Module, settings: TrainSettings, teacher: nn.Module | None) -> Objective:
    """The loss of `module`; `teacher`, frozen, is the float network that it is compared with, if any."""
    taught_by = None if teacher is None else _compiled(teacher, settings)
    if isinstance(module, Widths):
        return Collaboration(module, settings, taught_by)
    return Single(_compiled(module, settings), settings, taught_by)


class Single:
    """Cross-entropy with the labels and, as the share `distill`, distance from the float network's softmax."""

    def __init__(self, forward: Forward, settings: TrainSettings, teacher: Forward | None) -> None:
        self.forward, self.settings, self.teacher = forward, settings, teacher

    def target(self, x: Tensor) -> Tensor | None:
        return _answers(self.teacher, x)

    def __call__(self, x: Tensor, labels: Tensor, target: Tensor | None, done: float) -> Tensor:
        return _taught(_flat(self.forward(x)), labels, target, self.settings)


class Collaboration:
    """The sum of the losses of all bit-widths. Each learns from labels and, as the share `distill`, from a teacher.

    The highest bit-width has the float network. Each lower one has that of the higher ones whose running loss is least
    (`width_teacher = "best"`), always the highest ("highest"), or the next ("next"). A lower one's pass swaps with the
    probability `swap`, which falls linearly to 0 over the run: every block is then at even odds its teacher's, with
    weights, activations and batch-norm; statistics do not follow there. The first step swaps nothing.

    Source: Sun et al., "Improved Techniques for Quantizing Deep Networks with Adaptive Bit-Widths", WACV 2024, for the
    two ideas; choice and schedule are ours.
    """

    def __init__(self, widths: Widths, settings: TrainSettings, teacher: Forward | None) -> None:
        self.widths, self.settings, self.teacher = widths, settings, teacher
        parts = chains(list(widths.graphs.values())) if settings.swap > 0 else [[] for _ in widths.bits]
        self.whole = [_compiled(graph.module, settings) for graph in widths.graphs.values()]
        self.forwards = [[_compiled(part, settings) for part in chain] for chain in parts]
        self.buffers = [[list(part.buffers()) for part in chain] for chain in parts]

    def target(self, x: Tensor) -> Tensor | None:
        return _answers(self.teacher, x)

    def __call__(self, x: Tensor, labels: Tensor, target: Tensor | None, done: float) -> Tensor:
        count = len(self.widths.bits)
        best, total = self.widths.losses.tolist(), x.new_zeros(())
        answers: list[Tensor] = []
        losses: list[Tensor] = []
        for student in range(count):
            teacher = self._teacher(student, best)
            swapped = self._swapped(done) if student else [False] * len(self.forwards[0])
            logits = _flat(self._mixed(x, student, teacher, swapped))
            total = total + _taught(logits, labels, answers[teacher] if student else target, self.settings)
            answers.append(logits.detach())
            losses.append(_cross_entropy(answers[-1], labels))
        self._remember(torch.stack(losses))
        return total

    def _teacher(self, student: int, losses: list[float]) -> int:
        """Place of the teacher; places count from the highest bit-width."""
        if self.settings.width_teacher == "next":
            return max(student - 1, 0)
        if self.settings.width_teacher == "highest" or student == 0:
            return 0
        return min(range(student), key=losses.__getitem__)

    def _swapped(self, done: float) -> list[bool]:
        """Which blocks are the teacher's. None in the first step, in which every quantizer must be seen to learn."""
        blocks, chance = len(self.forwards[0]), self.settings.swap * (1 - done) if done > 0 else 0.0
        first, *others = torch.rand(1 + blocks).tolist()
        return [first < chance and other < EVEN for other in others]

    def _mixed(self, x: Tensor, student: int, teacher: int, swapped: list[bool]) -> Tensor:
        if not any(swapped):  # in one piece, which takes little more than half as long
            return self.whole[student](x)
        for part, is_swapped in enumerate(swapped):
            if is_swapped:
                with _kept(self.buffers[teacher][part]):
                    x = self.forwards[teacher][part](x)
            else:
                x = self.forwards[student][part](x)
        return x

    def _remember(self, losses: Tensor) -> None:
        kept, known = self.widths.losses, torch.isfinite(self.widths.losses)
        kept.copy_(torch.where(known, MEMORY * torch.where(known, kept, losses) + (1 - MEMORY) * losses, losses))


def _answers(teacher: Forward | None, x: Tensor) -> Tensor | None:
    if teacher is None:
        return None
    with torch.no_grad():
        return _flat(teacher(x))


def _flat(logits: Tensor) -> Tensor:
    """Of every image, or of every step of every sequence: (samples, classes)."""
    return logits.float().flatten(0, -2)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels.flatten(), ignore_index=NO_LABEL)


def _taught(logits: Tensor, labels: Tensor, target: Tensor | None, settings: TrainSettings) -> Tensor:
    loss = _cross_entropy(logits, labels)
    if target is None or settings.distill == 0:
        return loss
    t = settings.temperature
    distance: Tensor = F.kl_div(F.log_softmax(logits / t, 1), F.softmax(target / t, 1), reduction="batchmean")
    return (1 - settings.distill) * loss + settings.distill * t * t * distance


def _compiled(module: nn.Module, settings: TrainSettings) -> Forward:
    return cast(Forward, torch.compile(module)) if settings.compile else module


@contextmanager
def _kept(buffers: list[Tensor]) -> Iterator[None]:
    """Afterwards the buffers hold what they held before; the graph of gradients does not see it."""
    before = [buffer.clone() for buffer in buffers]
    yield
    for buffer, value in zip(buffers, before, strict=True):
        buffer.data.copy_(value)
